


SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;


CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);



CREATE TABLE public.artifacts (
    number bigint NOT NULL,
    task_id character varying(100) NOT NULL,
    step character varying(100) NOT NULL,
    name text NOT NULL,
    sha256 character varying(64) NOT NULL,
    size bigint NOT NULL,
    media_type text NOT NULL,
    at timestamp with time zone NOT NULL
);



CREATE SEQUENCE public.artifacts_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.artifacts_number_seq OWNED BY public.artifacts.number;



CREATE TABLE public.events (
    seq bigint NOT NULL,
    task_id character varying(100) NOT NULL,
    key text NOT NULL,
    kind character varying(32) NOT NULL,
    text text NOT NULL,
    step character varying(100) NOT NULL,
    agent character varying(100) NOT NULL,
    data text NOT NULL,
    at timestamp with time zone NOT NULL
);



CREATE SEQUENCE public.events_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.events_seq_seq OWNED BY public.events.seq;



CREATE TABLE public.idempotency_keys (
    key text NOT NULL,
    body_sha256 character varying(64) NOT NULL,
    task_id character varying(100) NOT NULL
);



CREATE TABLE public.journal (
    task_id character varying(100) NOT NULL,
    run character varying(100) NOT NULL,
    kind character varying(16) NOT NULL,
    key text NOT NULL,
    ordinal integer NOT NULL,
    digest character varying(64) NOT NULL,
    state character varying(16) NOT NULL,
    payload bytea NOT NULL,
    commit character varying(64) NOT NULL,
    at timestamp with time zone NOT NULL
);



CREATE TABLE public.tasks (
    number bigint NOT NULL,
    id character varying(100) NOT NULL,
    task text NOT NULL,
    source_system character varying(64),
    source_key character varying(200),
    repo text NOT NULL,
    kind character varying(32) NOT NULL,
    requester character varying(200) NOT NULL,
    search text NOT NULL,
    state character varying(32) NOT NULL,
    step character varying(100) NOT NULL,
    reason text NOT NULL,
    workflow_run_id character varying(100) NOT NULL,
    plan_sha256 character varying(64) NOT NULL,
    pull_request_id character varying(200) NOT NULL,
    head_commit character varying(64) NOT NULL,
    model_calls integer NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cost_usd double precision NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone
);



CREATE SEQUENCE public.tasks_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.tasks_number_seq OWNED BY public.tasks.number;



ALTER TABLE ONLY public.artifacts ALTER COLUMN number SET DEFAULT nextval('public.artifacts_number_seq'::regclass);



ALTER TABLE ONLY public.events ALTER COLUMN seq SET DEFAULT nextval('public.events_seq_seq'::regclass);



ALTER TABLE ONLY public.tasks ALTER COLUMN number SET DEFAULT nextval('public.tasks_number_seq'::regclass);



INSERT INTO public.alembic_version VALUES ('0001');



INSERT INTO public.artifacts VALUES (1, 'pw-lio4r3fisn6j', 'PlanChanges', 'plan.json', '59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd', 13, 'application/json', '2026-11-21 12:31:08.797471+00');
INSERT INTO public.artifacts VALUES (2, 'pw-lio4r3fisn6j', 'RunCI', 'tests.log', '6f1e76c9702e52793f6319458f11f74bb5535cdd28d1f442a5168ba87b5043b6', 23, 'text/plain; charset=utf-8', '2026-11-21 12:31:08.800793+00');
INSERT INTO public.artifacts VALUES (3, 'pw-uqa6e3c5q7vs', 'PlanChanges', 'plan.json', '59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd', 13, 'application/json', '2026-11-21 12:31:08.818463+00');
INSERT INTO public.artifacts VALUES (4, 'pw-uqa6e3c5q7vs', 'RunCI', 'tests.log', 'de8f5f5128e1fe37474a35b2c28715b9bcef8a3bd546c383cd968031da2a8031', 23, 'text/plain; charset=utf-8', '2026-11-21 12:31:08.820545+00');
INSERT INTO public.artifacts VALUES (5, 'pw-xemhljvsnzjn', 'PlanChanges', 'plan.json', '59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd', 13, 'application/json', '2026-11-21 12:31:08.833551+00');
INSERT INTO public.artifacts VALUES (6, 'pw-xemhljvsnzjn', 'RunCI', 'tests.log', '1cb65381943c755bbefeac101f351cbe2d5d9a4307c6c7045282931f3b101674', 23, 'text/plain; charset=utf-8', '2026-11-21 12:31:08.835404+00');



INSERT INTO public.events VALUES (1, 'pw-lio4r3fisn6j', 'accepted', 'state', 'Accepted', '', '', '{"state": "queued", "reason": ""}', '2026-11-21 12:31:08.790446+00');
INSERT INTO public.events VALUES (2, 'pw-lio4r3fisn6j', 'plan', 'plan', 'Plan ✓ �', 'PlanChanges', 'planner', '{"sha256": "59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd", "edits": 2, "nested": {"text": "\u00e4?"}}', '2026-11-21 12:31:08.802636+00');
INSERT INTO public.events VALUES (3, 'pw-lio4r3fisn6j', 'progress:1', 'state', 'Awaiting review: Because – so', 'AwaitReview', '', '{"state": "awaiting_review", "reason": "Because \u2013 so"}', '2026-11-21 12:31:08.809384+00');
INSERT INTO public.events VALUES (4, 'pw-uqa6e3c5q7vs', 'accepted', 'state', 'Accepted', '', '', '{"state": "queued", "reason": ""}', '2026-11-21 12:31:08.814919+00');
INSERT INTO public.events VALUES (5, 'pw-uqa6e3c5q7vs', 'plan', 'plan', 'Plan ✓ �', 'PlanChanges', 'planner', '{"sha256": "59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd", "edits": 2, "nested": {"text": "\u00e4?"}}', '2026-11-21 12:31:08.822437+00');
INSERT INTO public.events VALUES (6, 'pw-uqa6e3c5q7vs', 'progress:1', 'state', 'Halted: Because – so', 'AwaitReview', '', '{"state": "halted", "reason": "Because \u2013 so"}', '2026-11-21 12:31:08.827906+00');
INSERT INTO public.events VALUES (7, 'pw-xemhljvsnzjn', 'accepted', 'state', 'Accepted', '', '', '{"state": "queued", "reason": ""}', '2026-11-21 12:31:08.831311+00');
INSERT INTO public.events VALUES (8, 'pw-xemhljvsnzjn', 'plan', 'plan', 'Plan ✓ �', 'PlanChanges', 'planner', '{"sha256": "59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd", "edits": 2, "nested": {"text": "\u00e4?"}}', '2026-11-21 12:31:08.836951+00');
INSERT INTO public.events VALUES (9, 'pw-xemhljvsnzjn', 'progress:1', 'state', 'Ready to merge: Because – so', 'AwaitReview', '', '{"state": "ready_to_merge", "reason": "Because \u2013 so"}', '2026-11-21 12:31:08.841029+00');
INSERT INTO public.events VALUES (10, 'pw-3gjrx7anidj7', 'accepted', 'state', 'Accepted', '', '', '{"state": "queued", "reason": ""}', '2026-11-21 12:31:08.845467+00');
INSERT INTO public.events VALUES (11, 'pw-jtzm5hjaqwlj', 'accepted', 'state', 'Accepted', '', '', '{"state": "queued", "reason": ""}', '2026-11-21 12:31:08.848432+00');



INSERT INTO public.idempotency_keys VALUES ('key-1', '1111111111111111111111111111111111111111111111111111111111111111', 'pw-uqa6e3c5q7vs');
INSERT INTO public.idempotency_keys VALUES ('key-3', '3333333333333333333333333333333333333333333333333333333333333333', 'pw-3gjrx7anidj7');
INSERT INTO public.idempotency_keys VALUES ('loose', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 'pw-jtzm5hjaqwlj');



INSERT INTO public.journal VALUES ('pw-lio4r3fisn6j', 'edit-1.0', 'model', '0', 0, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'done', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', '', '2026-11-20 08:30:15.123456+00');
INSERT INTO public.journal VALUES ('pw-lio4r3fisn6j', 'edit-1.0', 'tool', '1', 1, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'done', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', 'cccccccccccccccccccccccccccccccccccccccc', '2026-11-20 08:30:15.123456+00');
INSERT INTO public.journal VALUES ('pw-lio4r3fisn6j', 'edit-1.0', 'model', '2', 2, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'started', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', '', '2026-11-20 08:30:15.123456+00');
INSERT INTO public.journal VALUES ('pw-uqa6e3c5q7vs', 'edit-1.0', 'model', '0', 0, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'done', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', '', '2026-11-20 08:30:15.123456+00');
INSERT INTO public.journal VALUES ('pw-uqa6e3c5q7vs', 'edit-1.0', 'tool', '1', 1, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'done', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', 'cccccccccccccccccccccccccccccccccccccccc', '2026-11-20 08:30:15.123456+00');
INSERT INTO public.journal VALUES ('pw-uqa6e3c5q7vs', 'edit-1.0', 'model', '2', 2, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'started', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', '', '2026-11-20 08:30:15.123456+00');
INSERT INTO public.journal VALUES ('pw-xemhljvsnzjn', 'edit-1.0', 'model', '0', 0, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'done', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', '', '2026-11-20 08:30:15.123456+00');
INSERT INTO public.journal VALUES ('pw-xemhljvsnzjn', 'edit-1.0', 'tool', '1', 1, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'done', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', 'cccccccccccccccccccccccccccccccccccccccc', '2026-11-20 08:30:15.123456+00');
INSERT INTO public.journal VALUES ('pw-xemhljvsnzjn', 'edit-1.0', 'model', '2', 2, 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', 'started', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff', '', '2026-11-20 08:30:15.123456+00');



INSERT INTO public.tasks VALUES (1, 'pw-lio4r3fisn6j', '{"id":"pw-lio4r3fisn6j","request":{"repo":"https://git.example.com/shop/0.git","base_branch":"","title":"Tíckët ENG-1","description":"Say *why* – 🙂","ticket_url":"https://tickets.example.com/0","source":{"system":"jira","key":"ENG-1"},"constraints":["no API change"],"acceptance_criteria":[],"kind":"bugfix","requester":"ada","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:30:15.123456Z"}', 'jira', 'ENG-1', 'https://git.example.com/shop/0.git', 'bugfix', 'ada', 'pw-lio4r3fisn6j
tíckët eng-1
https://git.example.com/shop/0.git
https://tickets.example.com/0
eng-1
ada', 'awaiting_review', 'AwaitReview', 'Because – so', 'run-of-pw-lio4r3fisn6j', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'local-pw-lio4r3fisn6j', 'cccccccccccccccccccccccccccccccccccccccc', 31, 5000000000, 9310, 0.4127, '2026-11-20 08:30:15.123456+00', '2026-11-21 12:31:08.809783+00', NULL);
INSERT INTO public.tasks VALUES (3, 'pw-xemhljvsnzjn', '{"id":"pw-xemhljvsnzjn","request":{"repo":"https://git.example.com/shop/0.git","base_branch":"","title":"Tíckët Ünïcode-3","description":"Say *why* – 🙂","ticket_url":"https://tickets.example.com/2","source":{"system":"jira","key":"Ünïcode-3"},"constraints":["no API change"],"acceptance_criteria":[],"kind":"bugfix","requester":"ada","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:32:15.123456Z"}', 'jira', 'Ünïcode-3', 'https://git.example.com/shop/0.git', 'bugfix', 'ada', 'pw-xemhljvsnzjn
tíckët ünïcode-3
https://git.example.com/shop/0.git
https://tickets.example.com/2
ünïcode-3
ada', 'ready_to_merge', 'AwaitReview', 'Because – so', 'run-of-pw-xemhljvsnzjn', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'local-pw-xemhljvsnzjn', 'cccccccccccccccccccccccccccccccccccccccc', 31, 5000000000, 9310, 0.4127, '2026-11-20 08:32:15.123456+00', '2026-11-21 12:31:08.84135+00', '2026-11-21 12:31:08.841353+00');
INSERT INTO public.tasks VALUES (2, 'pw-uqa6e3c5q7vs', '{"id":"pw-uqa6e3c5q7vs","request":{"repo":"https://git.example.com/shop/1.git","base_branch":"","title":"Tíckët ENG-2","description":"Say *why* – 🙂","ticket_url":"https://tickets.example.com/1","source":{"system":"jira","key":"ENG-2"},"constraints":["no API change"],"acceptance_criteria":[],"kind":"bugfix","requester":"ada","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:31:15.123456Z"}', 'jira', 'ENG-2', 'https://git.example.com/shop/1.git', 'bugfix', 'ada', 'pw-uqa6e3c5q7vs
tíckët eng-2
https://git.example.com/shop/1.git
https://tickets.example.com/1
eng-2
ada', 'halted', 'AwaitReview', 'Because – so', 'run-of-pw-uqa6e3c5q7vs', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'local-pw-uqa6e3c5q7vs', 'cccccccccccccccccccccccccccccccccccccccc', 31, 5000000000, 9310, 0.4127, '2026-11-20 08:31:15.123456+00', '2026-11-21 12:31:08.828252+00', NULL);
INSERT INTO public.tasks VALUES (4, 'pw-3gjrx7anidj7', '{"id":"pw-3gjrx7anidj7","request":{"repo":"https://git.example.com/shop/1.git","base_branch":"","title":"Tíckët ENG-4","description":"Say *why* – 🙂","ticket_url":"https://tickets.example.com/3","source":{"system":"jira","key":"ENG-4"},"constraints":["no API change"],"acceptance_criteria":[],"kind":"bugfix","requester":"ada","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:33:15.123456Z"}', 'jira', 'ENG-4', 'https://git.example.com/shop/1.git', 'bugfix', 'ada', 'pw-3gjrx7anidj7
tíckët eng-4
https://git.example.com/shop/1.git
https://tickets.example.com/3
eng-4
ada', 'queued', '', '', '', '', '', '', 0, 0, 0, 0, '2026-11-20 08:33:15.123456+00', '2026-11-20 08:33:15.123456+00', NULL);
INSERT INTO public.tasks VALUES (5, 'pw-jtzm5hjaqwlj', '{"id":"pw-jtzm5hjaqwlj","request":{"repo":"/srv/r.git","base_branch":"","title":"No source","description":"","ticket_url":"","source":null,"constraints":[],"acceptance_criteria":[],"kind":"feature","requester":"","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:30:15.123456Z"}', NULL, NULL, '/srv/r.git', 'feature', '', 'pw-jtzm5hjaqwlj
no source
/srv/r.git


', 'queued', '', '', '', '', '', '', 0, 0, 0, 0, '2026-11-20 08:30:15.123456+00', '2026-11-20 08:30:15.123456+00', NULL);



SELECT pg_catalog.setval('public.artifacts_number_seq', 6, true);



SELECT pg_catalog.setval('public.events_seq_seq', 11, true);



SELECT pg_catalog.setval('public.tasks_number_seq', 5, true);



ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);



ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT pk_artifacts PRIMARY KEY (number);



ALTER TABLE ONLY public.events
    ADD CONSTRAINT pk_events PRIMARY KEY (seq);



ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT pk_idempotency_keys PRIMARY KEY (key);



ALTER TABLE ONLY public.journal
    ADD CONSTRAINT pk_journal PRIMARY KEY (task_id, run, kind, key);



ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT pk_tasks PRIMARY KEY (number);



ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT uq_artifacts_task_id_step_name_sha256 UNIQUE (task_id, step, name, sha256);



ALTER TABLE ONLY public.events
    ADD CONSTRAINT uq_events_task_id_key UNIQUE (task_id, key);



ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT uq_tasks_id UNIQUE (id);



ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT uq_tasks_source_system_source_key UNIQUE (source_system, source_key);



CREATE INDEX ix_artifacts_sha256 ON public.artifacts USING btree (sha256);



CREATE INDEX ix_events_task_id_seq ON public.events USING btree (task_id, seq);



CREATE INDEX ix_tasks_pull_request_id ON public.tasks USING btree (pull_request_id);



CREATE INDEX ix_tasks_state_number ON public.tasks USING btree (state, number);



ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT fk_idempotency_keys_task_id FOREIGN KEY (task_id) REFERENCES public.tasks(id);




