-- A dump (pg_dump --inserts) of tables of django.contrib.auth of Django 5.2.19, which create_user and
-- create_superuser filled, with 1,000 iterations. Mallory is inactive, and Carol has no password.
CREATE TABLE auth_group (
    id integer NOT NULL,
    name character varying(150) NOT NULL
);
CREATE TABLE auth_user (
    id integer NOT NULL,
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean NOT NULL,
    username character varying(150) NOT NULL,
    first_name character varying(150) NOT NULL,
    last_name character varying(150) NOT NULL,
    email character varying(254) NOT NULL,
    is_staff boolean NOT NULL,
    is_active boolean NOT NULL,
    date_joined timestamp with time zone NOT NULL
);
CREATE TABLE auth_user_groups (
    id bigint NOT NULL,
    user_id integer NOT NULL,
    group_id integer NOT NULL
);
INSERT INTO auth_group VALUES (1, 'editors');
INSERT INTO auth_user VALUES (1, 'pbkdf2_sha256$1000$AyEqfYhyOJ19ozlNeBINAB$uMUFBWaQi7L/4WF2JMaHTP6E9vdD2jmqWr0KIRjrLuA=', NULL, false, 'Alice', 'Alice', '', 'alice@example.org', false, true, '2026-11-26 14:08:18.058758+00');
INSERT INTO auth_user VALUES (2, '!MMaArKnn3I7IbzX6mWrFlmWKUvcTeO72BBFPj13j', NULL, false, 'carol', '', '', '', false, true, '2026-11-26 14:08:18.109678+00');
INSERT INTO auth_user VALUES (3, 'pbkdf2_sha256$1000$pT2w3rCjrjKMyZlEIMKig6$kU8886SvuFNq9F21AdvfbqDraYQypFAHzf4r9hvzOn4=', NULL, false, 'mallory', '', '', 'mallory@example.org', false, false, '2026-11-26 14:08:18.116117+00');
INSERT INTO auth_user VALUES (4, 'pbkdf2_sha256$1000$8XH2RmM3UFOXo2QhUYvkPq$S3zK0z4GUw0gybJ5ThTrL01dd3mThqqZpeao5bQAPz8=', NULL, true, 'root', '', '', 'root@example.org', true, true, '2026-11-26 14:08:18.153416+00');
INSERT INTO auth_user_groups VALUES (1, 1, 1);
ALTER TABLE ONLY auth_group
    ADD CONSTRAINT auth_group_name_key UNIQUE (name);
ALTER TABLE ONLY auth_group
    ADD CONSTRAINT auth_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY auth_user_groups
    ADD CONSTRAINT auth_user_groups_pkey PRIMARY KEY (id);
ALTER TABLE ONLY auth_user_groups
    ADD CONSTRAINT auth_user_groups_user_id_group_id_94350c0c_uniq UNIQUE (user_id, group_id);
ALTER TABLE ONLY auth_user
    ADD CONSTRAINT auth_user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY auth_user
    ADD CONSTRAINT auth_user_username_key UNIQUE (username);
