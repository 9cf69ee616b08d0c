BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE artifacts (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	task_id VARCHAR(100) NOT NULL, 
	step VARCHAR(100) NOT NULL, 
	name TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	media_type TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT uq_artifacts_task_id_step_name_sha256 UNIQUE (task_id, step, name, sha256)
);
INSERT INTO "artifacts" VALUES(1,'pw-lio4r3fisn6j','PlanChanges','plan.json','59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd',13,'application/json','2026-11-21 12:31:07.971987');
INSERT INTO "artifacts" VALUES(2,'pw-lio4r3fisn6j','RunCI','tests.log','6f1e76c9702e52793f6319458f11f74bb5535cdd28d1f442a5168ba87b5043b6',23,'text/plain; charset=utf-8','2026-11-21 12:31:07.974758');
INSERT INTO "artifacts" VALUES(3,'pw-uqa6e3c5q7vs','PlanChanges','plan.json','59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd',13,'application/json','2026-11-21 12:31:07.988787');
INSERT INTO "artifacts" VALUES(4,'pw-uqa6e3c5q7vs','RunCI','tests.log','de8f5f5128e1fe37474a35b2c28715b9bcef8a3bd546c383cd968031da2a8031',23,'text/plain; charset=utf-8','2026-11-21 12:31:07.990634');
INSERT INTO "artifacts" VALUES(5,'pw-xemhljvsnzjn','PlanChanges','plan.json','59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd',13,'application/json','2026-11-21 12:31:08.000893');
INSERT INTO "artifacts" VALUES(6,'pw-xemhljvsnzjn','RunCI','tests.log','1cb65381943c755bbefeac101f351cbe2d5d9a4307c6c7045282931f3b101674',23,'text/plain; charset=utf-8','2026-11-21 12:31:08.002815');
CREATE TABLE events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	task_id VARCHAR(100) NOT NULL, 
	"key" TEXT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	text TEXT NOT NULL, 
	step VARCHAR(100) NOT NULL, 
	agent VARCHAR(100) NOT NULL, 
	data TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT uq_events_task_id_key UNIQUE (task_id, "key")
);
INSERT INTO "events" VALUES(1,'pw-lio4r3fisn6j','accepted','state','Accepted','','','{"state": "queued", "reason": ""}','2026-11-21 12:31:07.965996');
INSERT INTO "events" VALUES(2,'pw-lio4r3fisn6j','plan','plan','Plan ✓ �','PlanChanges','planner','{"sha256": "59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd", "edits": 2, "nested": {"text": "\u00e4?"}}','2026-11-21 12:31:07.975987');
INSERT INTO "events" VALUES(3,'pw-lio4r3fisn6j','progress:1','state','Awaiting review: Because – so','AwaitReview','','{"state": "awaiting_review", "reason": "Because \u2013 so"}','2026-11-21 12:31:07.981006');
INSERT INTO "events" VALUES(4,'pw-uqa6e3c5q7vs','accepted','state','Accepted','','','{"state": "queued", "reason": ""}','2026-11-21 12:31:07.985813');
INSERT INTO "events" VALUES(5,'pw-uqa6e3c5q7vs','plan','plan','Plan ✓ �','PlanChanges','planner','{"sha256": "59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd", "edits": 2, "nested": {"text": "\u00e4?"}}','2026-11-21 12:31:07.991809');
INSERT INTO "events" VALUES(6,'pw-uqa6e3c5q7vs','progress:1','state','Halted: Because – so','AwaitReview','','{"state": "halted", "reason": "Because \u2013 so"}','2026-11-21 12:31:07.995476');
INSERT INTO "events" VALUES(7,'pw-xemhljvsnzjn','accepted','state','Accepted','','','{"state": "queued", "reason": ""}','2026-11-21 12:31:07.998658');
INSERT INTO "events" VALUES(8,'pw-xemhljvsnzjn','plan','plan','Plan ✓ �','PlanChanges','planner','{"sha256": "59b8c3c5b93295a91ce5ac26ef890849811cfe9d841b29d676b073027c566efd", "edits": 2, "nested": {"text": "\u00e4?"}}','2026-11-21 12:31:08.003954');
INSERT INTO "events" VALUES(9,'pw-xemhljvsnzjn','progress:1','state','Ready to merge: Because – so','AwaitReview','','{"state": "ready_to_merge", "reason": "Because \u2013 so"}','2026-11-21 12:31:08.007627');
INSERT INTO "events" VALUES(10,'pw-3gjrx7anidj7','accepted','state','Accepted','','','{"state": "queued", "reason": ""}','2026-11-21 12:31:08.011969');
INSERT INTO "events" VALUES(11,'pw-jtzm5hjaqwlj','accepted','state','Accepted','','','{"state": "queued", "reason": ""}','2026-11-21 12:31:08.015214');
CREATE TABLE idempotency_keys (
	"key" TEXT NOT NULL, 
	body_sha256 VARCHAR(64) NOT NULL, 
	task_id VARCHAR(100) NOT NULL, 
	CONSTRAINT pk_idempotency_keys PRIMARY KEY ("key"), 
	CONSTRAINT fk_idempotency_keys_task_id FOREIGN KEY(task_id) REFERENCES tasks (id)
);
INSERT INTO "idempotency_keys" VALUES('key-1','1111111111111111111111111111111111111111111111111111111111111111','pw-uqa6e3c5q7vs');
INSERT INTO "idempotency_keys" VALUES('key-3','3333333333333333333333333333333333333333333333333333333333333333','pw-3gjrx7anidj7');
INSERT INTO "idempotency_keys" VALUES('loose','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','pw-jtzm5hjaqwlj');
CREATE TABLE journal (
	task_id VARCHAR(100) NOT NULL, 
	run VARCHAR(100) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	"key" TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	payload BLOB NOT NULL, 
	"commit" VARCHAR(64) NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_journal PRIMARY KEY (task_id, run, kind, "key")
);
INSERT INTO "journal" VALUES('pw-lio4r3fisn6j','edit-1.0','model','0',0,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','done',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','','2026-11-20 08:30:15.123456');
INSERT INTO "journal" VALUES('pw-lio4r3fisn6j','edit-1.0','tool','1',1,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','done',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','cccccccccccccccccccccccccccccccccccccccc','2026-11-20 08:30:15.123456');
INSERT INTO "journal" VALUES('pw-lio4r3fisn6j','edit-1.0','model','2',2,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','started',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','','2026-11-20 08:30:15.123456');
INSERT INTO "journal" VALUES('pw-uqa6e3c5q7vs','edit-1.0','model','0',0,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','done',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','','2026-11-20 08:30:15.123456');
INSERT INTO "journal" VALUES('pw-uqa6e3c5q7vs','edit-1.0','tool','1',1,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','done',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','cccccccccccccccccccccccccccccccccccccccc','2026-11-20 08:30:15.123456');
INSERT INTO "journal" VALUES('pw-uqa6e3c5q7vs','edit-1.0','model','2',2,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','started',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','','2026-11-20 08:30:15.123456');
INSERT INTO "journal" VALUES('pw-xemhljvsnzjn','edit-1.0','model','0',0,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','done',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','','2026-11-20 08:30:15.123456');
INSERT INTO "journal" VALUES('pw-xemhljvsnzjn','edit-1.0','tool','1',1,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','done',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','cccccccccccccccccccccccccccccccccccccccc','2026-11-20 08:30:15.123456');
INSERT INTO "journal" VALUES('pw-xemhljvsnzjn','edit-1.0','model','2',2,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','started',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF','','2026-11-20 08:30:15.123456');
CREATE TABLE tasks (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR(100) NOT NULL, 
	task TEXT NOT NULL, 
	source_system VARCHAR(64), 
	source_key VARCHAR(200), 
	repo TEXT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	requester VARCHAR(200) NOT NULL, 
	search TEXT NOT NULL, 
	state VARCHAR(32) NOT NULL, 
	step VARCHAR(100) NOT NULL, 
	reason TEXT NOT NULL, 
	workflow_run_id VARCHAR(100) NOT NULL, 
	plan_sha256 VARCHAR(64) NOT NULL, 
	pull_request_id VARCHAR(200) NOT NULL, 
	head_commit VARCHAR(64) NOT NULL, 
	model_calls INTEGER NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	cost_usd FLOAT NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT uq_tasks_id UNIQUE (id), 
	CONSTRAINT uq_tasks_source_system_source_key UNIQUE (source_system, source_key)
);
INSERT INTO "tasks" VALUES(1,'pw-lio4r3fisn6j','{"id":"pw-lio4r3fisn6j","request":{"repo":"https://git.example.com/shop/0.git","base_branch":"","title":"Tíckët ENG-1","description":"Say *why* – 🙂","ticket_url":"https://tickets.example.com/0","source":{"system":"jira","key":"ENG-1"},"constraints":["no API change"],"acceptance_criteria":[],"kind":"bugfix","requester":"ada","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:30:15.123456Z"}','jira','ENG-1','https://git.example.com/shop/0.git','bugfix','ada','pw-lio4r3fisn6j
tíckët eng-1
https://git.example.com/shop/0.git
https://tickets.example.com/0
eng-1
ada','awaiting_review','AwaitReview','Because – so','run-of-pw-lio4r3fisn6j','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','local-pw-lio4r3fisn6j','cccccccccccccccccccccccccccccccccccccccc',31,5000000000,9310,0.4127,'2026-11-20 08:30:15.123456','2026-11-21 12:31:07.981491',NULL);
INSERT INTO "tasks" VALUES(2,'pw-uqa6e3c5q7vs','{"id":"pw-uqa6e3c5q7vs","request":{"repo":"https://git.example.com/shop/1.git","base_branch":"","title":"Tíckët ENG-2","description":"Say *why* – 🙂","ticket_url":"https://tickets.example.com/1","source":{"system":"jira","key":"ENG-2"},"constraints":["no API change"],"acceptance_criteria":[],"kind":"bugfix","requester":"ada","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:31:15.123456Z"}','jira','ENG-2','https://git.example.com/shop/1.git','bugfix','ada','pw-uqa6e3c5q7vs
tíckët eng-2
https://git.example.com/shop/1.git
https://tickets.example.com/1
eng-2
ada','halted','AwaitReview','Because – so','run-of-pw-uqa6e3c5q7vs','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','local-pw-uqa6e3c5q7vs','cccccccccccccccccccccccccccccccccccccccc',31,5000000000,9310,0.4127,'2026-11-20 08:31:15.123456','2026-11-21 12:31:07.995927',NULL);
INSERT INTO "tasks" VALUES(3,'pw-xemhljvsnzjn','{"id":"pw-xemhljvsnzjn","request":{"repo":"https://git.example.com/shop/0.git","base_branch":"","title":"Tíckët Ünïcode-3","description":"Say *why* – 🙂","ticket_url":"https://tickets.example.com/2","source":{"system":"jira","key":"Ünïcode-3"},"constraints":["no API change"],"acceptance_criteria":[],"kind":"bugfix","requester":"ada","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:32:15.123456Z"}','jira','Ünïcode-3','https://git.example.com/shop/0.git','bugfix','ada','pw-xemhljvsnzjn
tíckët ünïcode-3
https://git.example.com/shop/0.git
https://tickets.example.com/2
ünïcode-3
ada','ready_to_merge','AwaitReview','Because – so','run-of-pw-xemhljvsnzjn','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','local-pw-xemhljvsnzjn','cccccccccccccccccccccccccccccccccccccccc',31,5000000000,9310,0.4127,'2026-11-20 08:32:15.123456','2026-11-21 12:31:08.008058','2026-11-21 12:31:08.008062');
INSERT INTO "tasks" VALUES(4,'pw-3gjrx7anidj7','{"id":"pw-3gjrx7anidj7","request":{"repo":"https://git.example.com/shop/1.git","base_branch":"","title":"Tíckët ENG-4","description":"Say *why* – 🙂","ticket_url":"https://tickets.example.com/3","source":{"system":"jira","key":"ENG-4"},"constraints":["no API change"],"acceptance_criteria":[],"kind":"bugfix","requester":"ada","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:33:15.123456Z"}','jira','ENG-4','https://git.example.com/shop/1.git','bugfix','ada','pw-3gjrx7anidj7
tíckët eng-4
https://git.example.com/shop/1.git
https://tickets.example.com/3
eng-4
ada','queued','','','','','','',0,0,0,0.0,'2026-11-20 08:33:15.123456','2026-11-20 08:33:15.123456',NULL);
INSERT INTO "tasks" VALUES(5,'pw-jtzm5hjaqwlj','{"id":"pw-jtzm5hjaqwlj","request":{"repo":"/srv/r.git","base_branch":"","title":"No source","description":"","ticket_url":"","source":null,"constraints":[],"acceptance_criteria":[],"kind":"feature","requester":"","policy":{"plan_approval":false,"plan_expiry_hours":72.0,"allowed_paths":["**"],"denied_paths":[".git/**","**/.git/**",".patchwright.yaml",".github/workflows/**",".gitlab-ci.yml"],"also_within":[],"require_tests":true,"max_fix_rounds":3,"max_review_rounds":10,"max_model_calls":300,"max_cost_usd":null,"max_changed_files":200,"max_changed_lines":20000,"review_reminder_hours":72.0,"review_expiry_days":30.0}},"created_at":"2026-11-20T08:30:15.123456Z"}',NULL,NULL,'/srv/r.git','feature','','pw-jtzm5hjaqwlj
no source
/srv/r.git


','queued','','','','','','',0,0,0,0.0,'2026-11-20 08:30:15.123456','2026-11-20 08:30:15.123456',NULL);
CREATE INDEX ix_artifacts_sha256 ON artifacts (sha256);
CREATE INDEX ix_events_task_id_seq ON events (task_id, seq);
CREATE INDEX ix_tasks_pull_request_id ON tasks (pull_request_id);
CREATE INDEX ix_tasks_state_number ON tasks (state, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tasks',5);
INSERT INTO "sqlite_sequence" VALUES('events',11);
INSERT INTO "sqlite_sequence" VALUES('artifacts',6);
COMMIT;
