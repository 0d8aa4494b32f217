import com.fasterxml.jackson.core.JsonProcessingException;
import com.example.ostiary.ApiClient;
import com.example.ostiary.ApiException;
import com.example.ostiary.api.AccountApi;
import com.example.ostiary.api.SessionsApi;
import com.example.ostiary.model.Authenticated;
import com.example.ostiary.model.ChangePasswordRequest;
import com.example.ostiary.model.FieldError;
import com.example.ostiary.model.KnownFieldCode;
import com.example.ostiary.model.KnownProblemCode;
import com.example.ostiary.model.ListedSessionInfo;
import com.example.ostiary.model.LogInRequest;
import com.example.ostiary.model.Problem;
import com.example.ostiary.model.SessionInfo;
import com.example.ostiary.model.SignUpRequest;
import com.example.ostiary.model.Transport;
import java.net.CookieManager;
import java.net.http.HttpClient;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What a program does with a client of openapi-generator. Arguments: URL, transport. */
public final class Walk {
    private static final String USERNAME = "Alice";
    private static final String PASSWORD = "correct horse battery staple";

    private final ApiClient client = new ApiClient();
    private String token;

    private Walk(String url) {
        client.updateBaseUri(url);
        client.setHttpClientBuilder(HttpClient.newBuilder().cookieHandler(new CookieManager()));
        client.setRequestInterceptor(request -> {
            if (token != null) {
                request.header("Authorization", "Bearer " + token);
            }
        });
    }

    public static void main(String[] arguments) throws ApiException, JsonProcessingException {
        new Walk(arguments[0]).run(Transport.fromValue(arguments[1]));
    }

    private void run(Transport transport) throws ApiException, JsonProcessingException {
        AccountApi account = new AccountApi(client);
        SignUpRequest invalid = new SignUpRequest().username("al").password("password1");
        open("sign-up", () -> account.signUp(invalid.transport(transport)));
        SignUpRequest signUp = new SignUpRequest().username(USERNAME).password(PASSWORD);
        open("sign-up", () -> account.signUp(signUp.transport(transport)));

        LogInRequest wrong = new LogInRequest().username(USERNAME).password("a wrong password");
        open("log-in", () -> account.logIn(wrong.transport(transport)));
        LogInRequest logIn = new LogInRequest().username(USERNAME).password(PASSWORD);
        open("log-in", () -> account.logIn(logIn.transport(transport).deviceName("a laptop")));
        open("me", account::getMe);

        step("sessions", () -> list(new SessionsApi(client).listSessions(null).getSessions()));

        ChangePasswordRequest change = new ChangePasswordRequest();
        change.currentPassword(PASSWORD).newPassword("an entirely different one");
        open("password change", () -> account.changePassword(change));
        step("log-out", () -> {
            account.logOut();
            System.out.println("log-out");
        });
        open("me", account::getMe);
    }

    private static void list(List<ListedSessionInfo> sessions) {
        for (ListedSessionInfo each : sessions) {
            if (each.getCurrent()) {
                Duration lifetime =
                        Duration.between(each.getCreatedAt(), each.getAbsoluteExpiresAt());
                String device = each.getDeviceName();
                System.out.println("session: " + device + ", " + lifetime.toDays() + " days");
            }
        }
    }

    private void open(String step, Call call) throws ApiException, JsonProcessingException {
        step(step, () -> {
            Authenticated answer = call.get();
            SessionInfo session = answer.getSession();
            token = Optional.ofNullable(session.getToken()).orElse(token);
            String state = session.getFresh() ? "fresh" : session.getState().getValue();
            System.out.println(step + ": " + answer.getUser().getUsername() + ", " + state);
        });
    }

    private void step(String step, Action action) throws ApiException, JsonProcessingException {
        try {
            action.run();
        } catch (ApiException error) {
            String body = error.getResponseBody();
            Problem problem = client.getObjectMapper().readValue(body, Problem.class);
            List<String> parts = new ArrayList<>();
            parts.add(text(problem.getCode().getActualInstance()));
            for (FieldError each : Optional.ofNullable(problem.getErrors()).orElse(List.of())) {
                parts.add(each.getField() + " " + text(each.getCode().getActualInstance()));
            }
            System.out.println(step + " refused: " + String.join(", ", parts));
        }
    }

    private static String text(Object code) {
        if (code == KnownProblemCode.INVALID_CREDENTIALS) {
            return "wrong user name or password";
        }
        if (code instanceof KnownProblemCode known) {
            return known.getValue();
        }
        return code instanceof KnownFieldCode known ? known.getValue() : (String) code;
    }

    private interface Call {
        Authenticated get() throws ApiException;
    }

    private interface Action {
        void run() throws ApiException;
    }
}
