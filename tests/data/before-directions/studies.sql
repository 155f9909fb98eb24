BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE lease (
	trial_id INTEGER NOT NULL, 
	owner VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	expires DOUBLE NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	machine VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	started DOUBLE NOT NULL, 
	training INTEGER DEFAULT '1' NOT NULL, 
	deaths INTEGER DEFAULT '0' NOT NULL, 
	story TEXT DEFAULT '[]' NOT NULL, 
	PRIMARY KEY (trial_id)
);
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'parabola/coarse');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'dashboard:note_str:0','"Stage 1 of 2 of the campaign `parabola`. [Its page](/campaigns/parabola), under `coarsefine serve`, shows all its stages together.\n\n- **Ranges:** x -2 to 2, uniform; given by the campaign\n- **Trials:** 6, random\n- **Objective:** parabola:train\n"');
INSERT INTO "study_system_attributes" VALUES(2,1,'dashboard:note_ver','1');
INSERT INTO "study_system_attributes" VALUES(3,1,'study:metric_names','["value"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'campaign','"parabola"');
INSERT INTO "study_user_attributes" VALUES(2,1,'carried','[]');
INSERT INTO "study_user_attributes" VALUES(3,1,'config','{"name": "parabola", "seed": 2, "objective": "parabola:train", "epochs": null, "timeout": null, "data": null, "model": null, "stage": [{"name": "coarse", "trials": 6, "eta": null, "lambda": null, "rho": null, "decay": null, "hidden": null, "batch": null, "space": {"x": {"uniform": [-2.0, 2.0]}}, "narrow": null, "parent": null, "carry": 0, "sampler": "random", "epochs": null, "pruner": "none", "rungs": null, "factor": 2.0}, {"name": "fine", "trials": 4, "eta": null, "lambda": null, "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": {"top": 2, "margin": 0.25, "least": 0.3, "widen": false}, "parent": null, "carry": 1, "sampler": "random", "epochs": null, "pruner": "none", "rungs": null, "factor": 2.0}], "confirm": {"top": 2, "seeds": 2, "near": 0.05, "epochs": null}, "final": null}');
INSERT INTO "study_user_attributes" VALUES(4,1,'id','"10769937a6a141efb9e61ed39e405005"');
INSERT INTO "study_user_attributes" VALUES(5,1,'objective','{"name": "parabola:train", "digest": "b0e16e327363870908ae34ceca1959a8c76c6aee98315e343c1728f1a8b729b0"}');
INSERT INTO "study_user_attributes" VALUES(6,1,'parent','null');
INSERT INTO "study_user_attributes" VALUES(7,1,'ranges','"given by the campaign"');
INSERT INTO "study_user_attributes" VALUES(8,1,'sampler','"random"');
INSERT INTO "study_user_attributes" VALUES(9,1,'space','{"x": {"uniform": [-2.0, 2.0]}}');
INSERT INTO "study_user_attributes" VALUES(10,1,'stage','"coarse"');
INSERT INTO "study_user_attributes" VALUES(11,1,'versions','{"coarsefine": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1"}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,-1.266399784538653428e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,2,1,-0.394052481202489,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,3,1,-2.88839934023091959858e+00,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'x',1.53212264017560073625e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.0, "high": 2.0, "log": false}}');
INSERT INTO "trial_params" VALUES(2,2,'x',-1.21204475214510498659e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.0, "high": 2.0, "log": false}}');
INSERT INTO "trial_params" VALUES(3,3,'x',1.99609602480214354258e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.0, "high": 2.0, "log": false}}');
INSERT INTO "trial_params" VALUES(4,4,'x',1.93525982104994742627e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.0, "high": 2.0, "log": false}}');
INSERT INTO "trial_params" VALUES(5,5,'x',6.92554272809555282464e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.0, "high": 2.0, "log": false}}');
INSERT INTO "trial_params" VALUES(6,6,'x',-1.29733034049390827391e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": -2.0, "high": 2.0, "log": false}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'seed','1409505529');
INSERT INTO "trial_user_attributes" VALUES(2,2,'seed','4086943755');
INSERT INTO "trial_user_attributes" VALUES(3,3,'seed','2837728403');
INSERT INTO "trial_user_attributes" VALUES(4,4,'seed','3740708051');
INSERT INTO "trial_user_attributes" VALUES(5,5,'seed','2340814134');
INSERT INTO "trial_user_attributes" VALUES(6,6,'seed','2253361944');
INSERT INTO "trial_user_attributes" VALUES(7,1,'arithmetic','"coarsefine kernel 1"');
INSERT INTO "trial_user_attributes" VALUES(8,1,'train_loss','[null]');
INSERT INTO "trial_user_attributes" VALUES(9,1,'validation_loss','[null]');
INSERT INTO "trial_user_attributes" VALUES(10,2,'arithmetic','"coarsefine kernel 1"');
INSERT INTO "trial_user_attributes" VALUES(11,2,'train_loss','[null]');
INSERT INTO "trial_user_attributes" VALUES(12,2,'validation_loss','[null]');
INSERT INTO "trial_user_attributes" VALUES(13,3,'arithmetic','"coarsefine kernel 1"');
INSERT INTO "trial_user_attributes" VALUES(14,3,'train_loss','[null]');
INSERT INTO "trial_user_attributes" VALUES(15,3,'validation_loss','[null]');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,-1.266399784538653428e+00,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,-0.394052481202489,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,-2.88839934023091959858e+00,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-27 16:18:16.778000','2026-11-27 16:18:16.836000');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-27 16:18:16.847000','2026-11-27 16:18:16.889000');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-27 16:18:16.918000','2026-11-27 16:18:16.949000');
INSERT INTO "trials" VALUES(4,3,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(5,4,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(6,5,1,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
