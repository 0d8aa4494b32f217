-- A dump (pg_dump --inserts) of the tables "user" and account of better-auth 1.7.25 with its plugin
-- username, which auth.api.signUpEmail filled; one address was verified, and one user has GitHub only.
CREATE TABLE account (
    id text NOT NULL,
    "accountId" text NOT NULL,
    "providerId" text NOT NULL,
    "userId" text NOT NULL,
    "accessToken" text,
    "refreshToken" text,
    "idToken" text,
    "accessTokenExpiresAt" timestamp with time zone,
    "refreshTokenExpiresAt" timestamp with time zone,
    scope text,
    password text,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone NOT NULL
);
CREATE TABLE "user" (
    id text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    "emailVerified" boolean NOT NULL,
    image text,
    "createdAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    "updatedAt" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    username text,
    "displayUsername" text
);
INSERT INTO account VALUES ('NliSys99UnxSwC8k6qFBCFZnuJX7De06', 'lK0yZDQOSMgVKhILe1N9M7ZH00Mrk9BV', 'credential', 'lK0yZDQOSMgVKhILe1N9M7ZH00Mrk9BV', NULL, NULL, NULL, NULL, NULL, NULL, 'cc8e324357cc0c0baa2b3fb9b3638a16:7a53be0215704da2e77dfa0b4367d0bebc5db5e659fd6d7a164ea8474e8586efe827861712a92f1602a28862914acc3ce951e76f8b00df351b551e8b614e9e8b', '2026-11-26 14:08:09.511+00', '2026-11-26 14:08:09.511+00');
INSERT INTO account VALUES ('29urnJEJLzr0RYsa0XG8NWg6F1yDBaOo', 't0l7XPCkCxidbtdadhRDEbA4RL09g6Ya', 'credential', 't0l7XPCkCxidbtdadhRDEbA4RL09g6Ya', NULL, NULL, NULL, NULL, NULL, NULL, 'fb99e2904cab1ef666e7bfd9d6e98315:53aee6f4b76284c997a4ef68864466b28c4b3acc69db04644ae9e65b51af9e983ceacfe29398b2e3536138776042742866ed7b34e3346f60aa4cc2d093a41442', '2026-11-26 14:08:10.148+00', '2026-11-26 14:08:10.148+00');
INSERT INTO account VALUES ('gIajalWg8uSxNkBwkan4FBiHUf6OrIIX', 'FPYvKJmbFiuAuIVgRQjmTzj25TN4b4lU', 'credential', 'FPYvKJmbFiuAuIVgRQjmTzj25TN4b4lU', NULL, NULL, NULL, NULL, NULL, NULL, 'e20bd4e1ce86dc70f0381dd7f2ea465d:64f21d3a79567c943acdba8089bdd917d01e16d884d15304b6eb19ebf9c41b5ad7da2696278c99a0972b21ba7ca587233f2abffca813e0a33bdb59f36f7b722a', '2026-11-26 14:08:10.852+00', '2026-11-26 14:08:10.852+00');
INSERT INTO account VALUES ('acc1', '42', 'github', 'GitHubOnlyUser01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-26 14:08:10.916179+00', '2026-11-26 14:08:10.916179+00');
INSERT INTO "user" VALUES ('t0l7XPCkCxidbtdadhRDEbA4RL09g6Ya', 'Jane Doe', 'jane.doe@example.org', false, NULL, '2026-11-26 14:08:10.139+00', '2026-11-26 14:08:10.139+00', NULL, NULL);
INSERT INTO "user" VALUES ('FPYvKJmbFiuAuIVgRQjmTzj25TN4b4lU', 'Mallory', 'mallory@example.org', false, NULL, '2026-11-26 14:08:10.843+00', '2026-11-26 14:08:10.843+00', NULL, NULL);
INSERT INTO "user" VALUES ('lK0yZDQOSMgVKhILe1N9M7ZH00Mrk9BV', 'Alice', 'alice@example.org', true, NULL, '2026-11-26 14:08:09.484+00', '2026-11-26 14:08:09.484+00', 'alice', 'Alice');
INSERT INTO "user" VALUES ('GitHubOnlyUser01', 'Git', 'git@example.org', true, NULL, '2026-11-26 14:08:10.905141+00', '2026-11-26 14:08:10.905141+00', NULL, NULL);
ALTER TABLE ONLY account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);
ALTER TABLE ONLY "user"
    ADD CONSTRAINT user_email_key UNIQUE (email);
ALTER TABLE ONLY "user"
    ADD CONSTRAINT user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY "user"
    ADD CONSTRAINT user_username_key UNIQUE (username);
