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
INSERT INTO "lease" VALUES(18,'',1,0.0,'vm','e8f13f49-8948-426e-8da4-863cb06d9949 pid:[4026531836]',26433,563206.0,0,0,'[]');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'finished/coarse');
INSERT INTO "studies" VALUES(2,'finished/fine');
INSERT INTO "studies" VALUES(3,'finished/confirm');
INSERT INTO "studies" VALUES(4,'unfinished/coarse');
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
INSERT INTO "study_directions" VALUES(2,'MAXIMIZE',2,0);
INSERT INTO "study_directions" VALUES(3,'MAXIMIZE',3,0);
INSERT INTO "study_directions" VALUES(4,'MAXIMIZE',4,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'dashboard:note_str:0','"Stage 1 of 2 of the campaign `finished`. [Its page](/campaigns/finished), under `coarsefine serve`, shows all its stages together.\n\n- **Ranges:** \u03b7 0.01 to 1, \u03bb 1e-06 to 0.01, log-uniform; given by the campaign\n- **Trials:** 6, random, 3 epochs each, halving after epochs 1\n- **Data:** digits, 1,197/300/300 images for training, validation, test (split seed 0)\n"');
INSERT INTO "study_system_attributes" VALUES(2,1,'dashboard:note_ver','1');
INSERT INTO "study_system_attributes" VALUES(3,1,'study:metric_names','["validation accuracy"]');
INSERT INTO "study_system_attributes" VALUES(4,2,'dashboard:note_str:0','"Stage 2 of 2 of the campaign `finished`. [Its page](/campaigns/finished), under `coarsefine serve`, shows all its stages together.\n\n- **Ranges:** \u03b7 0.2211 to 0.4411, \u03bb 2.278e-06 to 0.001432, log-uniform; narrowed from the parent''s best trials\n- **Parent:** [finished/coarse](/dashboard/studies/1)\n- **Narrowed from:** the parent''s trials 0, 3\n- **Rule:** box of the 2 best, 25% margin, at least 0.3 decades\n- **Carried:** trials 0 are the points of the parent''s trials 0, on fresh seeds\n- **Trials:** 4, random, 3 epochs each\n- **Data:** digits, 1,197/300/300 images for training, validation, test (split seed 0)\n"');
INSERT INTO "study_system_attributes" VALUES(5,2,'dashboard:note_ver','1');
INSERT INTO "study_system_attributes" VALUES(6,2,'study:metric_names','["validation accuracy"]');
INSERT INTO "study_system_attributes" VALUES(7,3,'dashboard:note_str:0','"The best settings of all stages, trained again on fresh seeds, of the campaign `finished`. [Its page](/campaigns/finished), under `coarsefine serve`, shows all its stages together.\n\n- **Finalist 1:** \u03b7 = 0.4023, \u03bb = 7.16e-04: trial 2 of finished/fine, trained again in trials 0, 2\n- **Finalist 2:** \u03b7 = 0.2523, \u03bb = 6.67e-06: trial 0 of finished/coarse, trained again in trials 1, 3\n- **Seeds:** 2 seeds, the same for each: 1885677699, 3558595245\n"');
INSERT INTO "study_system_attributes" VALUES(8,3,'dashboard:note_ver','1');
INSERT INTO "study_system_attributes" VALUES(9,3,'study:metric_names','["validation accuracy"]');
INSERT INTO "study_system_attributes" VALUES(10,4,'dashboard:note_str:0','"Stage 1 of 2 of the campaign `unfinished`. [Its page](/campaigns/unfinished), under `coarsefine serve`, shows all its stages together.\n\n- **Ranges:** \u03b7 0.01 to 1, \u03bb 1e-06 to 0.01, log-uniform; given by the campaign\n- **Trials:** 6, random, 3 epochs each, halving after epochs 1\n- **Data:** digits, 1,197/300/300 images for training, validation, test (split seed 0)\n"');
INSERT INTO "study_system_attributes" VALUES(11,4,'dashboard:note_ver','1');
INSERT INTO "study_system_attributes" VALUES(12,4,'study:metric_names','["validation accuracy"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'campaign','"finished"');
INSERT INTO "study_user_attributes" VALUES(2,1,'carried','[]');
INSERT INTO "study_user_attributes" VALUES(3,1,'config','{"name": "finished", "seed": 4, "objective": null, "epochs": null, "timeout": null, "data": {"dataset": "digits", "train": ["data_batch_1", "data_batch_3"], "validation": "data_batch_2", "validation_images": 1000, "test": "test_batch", "held_out": 0}, "model": {"eta": null, "lambda": null, "hidden": 10, "batch": 50, "epochs": 3, "rho": 0.9, "decay": 0.95, "order": "shuffled", "precision": "float32", "mirror": false}, "stage": [{"name": "coarse", "trials": 6, "eta": [0.01, 1.0], "lambda": [1e-06, 0.01], "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": null, "parent": null, "carry": 0, "sampler": "random", "epochs": null, "pruner": "halving", "rungs": [1], "factor": 2.0}, {"name": "fine", "trials": 4, "eta": null, "lambda": null, "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": {"top": 2, "margin": 0.25, "least": 0.3, "widen": false}, "parent": null, "carry": 1, "sampler": "random", "epochs": null, "pruner": "none", "rungs": null, "factor": 2.0}], "confirm": {"top": 2, "seeds": 2, "near": 0.05, "epochs": null}, "final": {"epochs": 3, "seeds": 2, "decay": null, "on_validation": false}}');
INSERT INTO "study_user_attributes" VALUES(4,1,'data','{"digest": "d4c8c0036bb85b50d3d3c22f73f798d56aa8ccb9b6cd00f5e225da8ea73d33c8", "description": "digits, 1,197/300/300 images for training, validation, test (split seed 0)"}');
INSERT INTO "study_user_attributes" VALUES(5,1,'id','"47f2734e1dec4766bbfae5c13159b023"');
INSERT INTO "study_user_attributes" VALUES(6,1,'parent','null');
INSERT INTO "study_user_attributes" VALUES(7,1,'ranges','"given by the campaign"');
INSERT INTO "study_user_attributes" VALUES(8,1,'sampler','"random"');
INSERT INTO "study_user_attributes" VALUES(9,1,'space','{"eta": [0.01, 1.0], "lambda": [1e-06, 0.01]}');
INSERT INTO "study_user_attributes" VALUES(10,1,'stage','"coarse"');
INSERT INTO "study_user_attributes" VALUES(11,1,'versions','{"coarsefine": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1"}');
INSERT INTO "study_user_attributes" VALUES(12,2,'campaign','"finished"');
INSERT INTO "study_user_attributes" VALUES(13,2,'carried','[{"number": 0, "from": 0}]');
INSERT INTO "study_user_attributes" VALUES(14,2,'config','{"name": "finished", "seed": 4, "objective": null, "epochs": null, "timeout": null, "data": {"dataset": "digits", "train": ["data_batch_1", "data_batch_3"], "validation": "data_batch_2", "validation_images": 1000, "test": "test_batch", "held_out": 0}, "model": {"eta": null, "lambda": null, "hidden": 10, "batch": 50, "epochs": 3, "rho": 0.9, "decay": 0.95, "order": "shuffled", "precision": "float32", "mirror": false}, "stage": [{"name": "coarse", "trials": 6, "eta": [0.01, 1.0], "lambda": [1e-06, 0.01], "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": null, "parent": null, "carry": 0, "sampler": "random", "epochs": null, "pruner": "halving", "rungs": [1], "factor": 2.0}, {"name": "fine", "trials": 4, "eta": null, "lambda": null, "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": {"top": 2, "margin": 0.25, "least": 0.3, "widen": false}, "parent": null, "carry": 1, "sampler": "random", "epochs": null, "pruner": "none", "rungs": null, "factor": 2.0}], "confirm": {"top": 2, "seeds": 2, "near": 0.05, "epochs": null}, "final": {"epochs": 3, "seeds": 2, "decay": null, "on_validation": false}}');
INSERT INTO "study_user_attributes" VALUES(15,2,'data','{"digest": "d4c8c0036bb85b50d3d3c22f73f798d56aa8ccb9b6cd00f5e225da8ea73d33c8", "description": "digits, 1,197/300/300 images for training, validation, test (split seed 0)"}');
INSERT INTO "study_user_attributes" VALUES(16,2,'id','"abc56dd72da9402abbf37495ebd3bb76"');
INSERT INTO "study_user_attributes" VALUES(17,2,'narrowed_from','[0, 3]');
INSERT INTO "study_user_attributes" VALUES(18,2,'parent','"finished/coarse"');
INSERT INTO "study_user_attributes" VALUES(19,2,'pressed','[]');
INSERT INTO "study_user_attributes" VALUES(20,2,'ranges','"narrowed from the parent''s best trials"');
INSERT INTO "study_user_attributes" VALUES(21,2,'rule','"box of the 2 best, 25% margin, at least 0.3 decades"');
INSERT INTO "study_user_attributes" VALUES(22,2,'sampler','"random"');
INSERT INTO "study_user_attributes" VALUES(23,2,'space','{"eta": [0.22109227875907175, 0.4411370919385703], "lambda": [2.277611444332631e-06, 0.001432026159957492]}');
INSERT INTO "study_user_attributes" VALUES(24,2,'stage','"fine"');
INSERT INTO "study_user_attributes" VALUES(25,2,'versions','{"coarsefine": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1"}');
INSERT INTO "study_user_attributes" VALUES(26,3,'campaign','"finished"');
INSERT INTO "study_user_attributes" VALUES(27,3,'config','{"name": "finished", "seed": 4, "objective": null, "epochs": null, "timeout": null, "data": {"dataset": "digits", "train": ["data_batch_1", "data_batch_3"], "validation": "data_batch_2", "validation_images": 1000, "test": "test_batch", "held_out": 0}, "model": {"eta": null, "lambda": null, "hidden": 10, "batch": 50, "epochs": 3, "rho": 0.9, "decay": 0.95, "order": "shuffled", "precision": "float32", "mirror": false}, "stage": [{"name": "coarse", "trials": 6, "eta": [0.01, 1.0], "lambda": [1e-06, 0.01], "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": null, "parent": null, "carry": 0, "sampler": "random", "epochs": null, "pruner": "halving", "rungs": [1], "factor": 2.0}, {"name": "fine", "trials": 4, "eta": null, "lambda": null, "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": {"top": 2, "margin": 0.25, "least": 0.3, "widen": false}, "parent": null, "carry": 1, "sampler": "random", "epochs": null, "pruner": "none", "rungs": null, "factor": 2.0}], "confirm": {"top": 2, "seeds": 2, "near": 0.05, "epochs": null}, "final": {"epochs": 3, "seeds": 2, "decay": null, "on_validation": false}}');
INSERT INTO "study_user_attributes" VALUES(28,3,'data','{"digest": "d4c8c0036bb85b50d3d3c22f73f798d56aa8ccb9b6cd00f5e225da8ea73d33c8", "description": "digits, 1,197/300/300 images for training, validation, test (split seed 0)"}');
INSERT INTO "study_user_attributes" VALUES(29,3,'finalists','[{"study": "finished/fine", "number": 2, "params": {"eta": 0.4023481900388246, "lambda": 0.0007158546834396121}, "value": 0.9533333333333334}, {"study": "finished/coarse", "number": 0, "params": {"eta": 0.25231891923515115, "lambda": 6.666402354880986e-06}, "value": 0.9433333333333334}]');
INSERT INTO "study_user_attributes" VALUES(30,3,'id','"952875252ff640e3af82a842f672554d"');
INSERT INTO "study_user_attributes" VALUES(31,3,'parent','"finished/fine"');
INSERT INTO "study_user_attributes" VALUES(32,3,'ranges','"the points of the finalists"');
INSERT INTO "study_user_attributes" VALUES(33,3,'space','{"eta": [0.25231891923515115, 0.4023481900388246], "lambda": [6.666402354880986e-06, 0.0007158546834396121]}');
INSERT INTO "study_user_attributes" VALUES(34,3,'stage','"confirm"');
INSERT INTO "study_user_attributes" VALUES(35,3,'versions','{"coarsefine": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1"}');
INSERT INTO "study_user_attributes" VALUES(36,3,'final','{"study": "finished/fine", "number": 2, "params": {"eta": 0.4023481900388246, "lambda": 0.0007158546834396121}, "epochs": 3, "seeds": [1657893446, 3650456203], "decay": 0.95, "on_validation": false, "images": [1197, 300, 300], "train_accuracies": [0.9632414369256475, 0.9682539682539683], "validation_accuracies": [0.9533333333333334, 0.95], "test_accuracies": [0.95, 0.9466666666666667], "ensemble_accuracy": 0.9566666666666667, "reproduction": {"exact": true, "difference": 0.0, "like": true}, "export": "35ab091a217b4cda7f4c53f9d37f2a14e8bbf21ba184dc01dfdd6631f770b483", "folder": "/home/you/trained/finished-6dfd4de2", "made_by": "coarsefine 0.1.0, numpy 2.4.6, scipy 1.17.1; x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL", "seconds": 0.287, "ended": "2026-11-27T07:45:08.198866+00:00", "curves": {"train_loss": [1.2836879241881567, 0.31290335321414886, 0.21616664133649155], "validation_loss": [0.3739238562179962, 0.27670779985257044, 0.2056694205459551], "validation_accuracy": [0.8966666666666667, 0.9199999999999999, 0.9516666666666667]}}');
INSERT INTO "study_user_attributes" VALUES(37,4,'campaign','"unfinished"');
INSERT INTO "study_user_attributes" VALUES(38,4,'carried','[]');
INSERT INTO "study_user_attributes" VALUES(39,4,'config','{"name": "unfinished", "seed": 4, "objective": null, "epochs": null, "timeout": null, "data": {"dataset": "digits", "train": ["data_batch_1", "data_batch_3"], "validation": "data_batch_2", "validation_images": 1000, "test": "test_batch", "held_out": 0}, "model": {"eta": null, "lambda": null, "hidden": 10, "batch": 50, "epochs": 3, "rho": 0.9, "decay": 0.95, "order": "shuffled", "precision": "float32", "mirror": false}, "stage": [{"name": "coarse", "trials": 6, "eta": [0.01, 1.0], "lambda": [1e-06, 0.01], "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": null, "parent": null, "carry": 0, "sampler": "random", "epochs": null, "pruner": "halving", "rungs": [1], "factor": 2.0}, {"name": "fine", "trials": 4, "eta": null, "lambda": null, "rho": null, "decay": null, "hidden": null, "batch": null, "space": null, "narrow": {"top": 2, "margin": 0.25, "least": 0.3, "widen": false}, "parent": null, "carry": 1, "sampler": "random", "epochs": null, "pruner": "none", "rungs": null, "factor": 2.0}], "confirm": {"top": 2, "seeds": 2, "near": 0.05, "epochs": null}, "final": {"epochs": 3, "seeds": 2, "decay": null, "on_validation": false}}');
INSERT INTO "study_user_attributes" VALUES(40,4,'data','{"digest": "d4c8c0036bb85b50d3d3c22f73f798d56aa8ccb9b6cd00f5e225da8ea73d33c8", "description": "digits, 1,197/300/300 images for training, validation, test (split seed 0)"}');
INSERT INTO "study_user_attributes" VALUES(41,4,'id','"1dd8ac4c45624939a5352944151b24ba"');
INSERT INTO "study_user_attributes" VALUES(42,4,'parent','null');
INSERT INTO "study_user_attributes" VALUES(43,4,'ranges','"given by the campaign"');
INSERT INTO "study_user_attributes" VALUES(44,4,'sampler','"random"');
INSERT INTO "study_user_attributes" VALUES(45,4,'space','{"eta": [0.01, 1.0], "lambda": [1e-06, 0.01]}');
INSERT INTO "study_user_attributes" VALUES(46,4,'stage','"coarse"');
INSERT INTO "study_user_attributes" VALUES(47,4,'versions','{"coarsefine": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1"}');
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
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,0.88,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,2,1,5.43333333333333334813e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,3,1,0.33,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,4,1,8.36666666666666669627e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,5,1,0.44,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,6,1,3.33333333333333314829e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,1,2,9.36666666666666647422e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,2,2,0.86,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,1,3,9.43333333333333357018e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,2,3,9.33333333333333348136e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(11,4,2,8.83333333333333303727e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(12,4,3,0.94,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(13,7,1,0.88,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(14,7,2,8.86666666666666714036e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(15,7,3,9.43333333333333357018e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(16,8,1,8.83333333333333303727e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(17,8,2,9.23333333333333339254e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(18,8,3,9.43333333333333357018e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(19,9,1,9.06666666666666620777e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(20,9,2,9.36666666666666647422e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(21,9,3,9.53333333333333365899e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(22,10,1,8.83333333333333303727e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(23,10,2,9.06666666666666620777e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(24,10,3,0.92,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(25,11,1,0.84,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(26,11,2,0.92,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(27,11,3,0.92,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(28,12,1,0.84,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(29,12,2,9.13333333333333330372e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(30,12,3,9.23333333333333339254e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(31,13,1,9.13333333333333330372e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(32,13,2,9.26666666666666638541e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(33,13,3,9.63333333333333374781e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(34,14,1,8.43333333333333379222e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(35,14,2,9.26666666666666638541e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(36,14,3,0.95,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(37,15,1,0.88,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(38,16,1,5.43333333333333334813e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(39,17,1,0.33,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(41,19,1,0.44,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(42,20,1,3.33333333333333314829e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(43,15,2,9.36666666666666647422e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(44,15,3,9.43333333333333357018e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(45,16,2,0.86,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(46,16,3,9.33333333333333348136e-01,'FINITE');
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
INSERT INTO "trial_params" VALUES(1,1,'eta',2.5231891923515115117e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'lambda',6.66640235488098636344e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(3,2,'eta',0.0736049359854235,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(4,2,'lambda',1.57781529936689900398e-05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(5,3,'eta',2.03531735482348312415e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(6,3,'lambda',7.36636988426641377974e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(7,4,'eta',3.86542575552777822878e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(8,4,'lambda',4.89259273124255226507e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(9,5,'eta',2.44581246256584741716e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(10,5,'lambda',6.08225630644890616393e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(11,6,'eta',2.86232892940906299972e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(12,6,'lambda',2.83309970333697975011e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(13,7,'eta',2.5231891923515115117e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.22109227875907175, "high": 0.4411370919385703, "log": true}}');
INSERT INTO "trial_params" VALUES(14,7,'lambda',6.66640235488098636344e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 2.277611444332631e-06, "high": 0.001432026159957492, "log": true}}');
INSERT INTO "trial_params" VALUES(15,8,'eta',2.69669691281436474383e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.22109227875907175, "high": 0.4411370919385703, "log": true}}');
INSERT INTO "trial_params" VALUES(16,8,'lambda',8.67819224459367549208e-05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 2.277611444332631e-06, "high": 0.001432026159957492, "log": true}}');
INSERT INTO "trial_params" VALUES(17,9,'eta',4.02348190038824604641e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.22109227875907175, "high": 0.4411370919385703, "log": true}}');
INSERT INTO "trial_params" VALUES(18,9,'lambda',7.15854683439612121328e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 2.277611444332631e-06, "high": 0.001432026159957492, "log": true}}');
INSERT INTO "trial_params" VALUES(19,10,'eta',2.80267958604194289407e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.22109227875907175, "high": 0.4411370919385703, "log": true}}');
INSERT INTO "trial_params" VALUES(20,10,'lambda',1.17461806524035822208e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 2.277611444332631e-06, "high": 0.001432026159957492, "log": true}}');
INSERT INTO "trial_params" VALUES(21,11,'eta',4.02348190038824604641e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.25231891923515115, "high": 0.4023481900388246, "log": true}}');
INSERT INTO "trial_params" VALUES(22,11,'lambda',7.15854683439612121328e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 6.666402354880986e-06, "high": 0.0007158546834396121, "log": true}}');
INSERT INTO "trial_params" VALUES(23,12,'eta',2.5231891923515115117e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.25231891923515115, "high": 0.4023481900388246, "log": true}}');
INSERT INTO "trial_params" VALUES(24,12,'lambda',6.66640235488098636344e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 6.666402354880986e-06, "high": 0.0007158546834396121, "log": true}}');
INSERT INTO "trial_params" VALUES(25,13,'eta',4.02348190038824604641e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.25231891923515115, "high": 0.4023481900388246, "log": true}}');
INSERT INTO "trial_params" VALUES(26,13,'lambda',7.15854683439612121328e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 6.666402354880986e-06, "high": 0.0007158546834396121, "log": true}}');
INSERT INTO "trial_params" VALUES(27,14,'eta',2.5231891923515115117e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.25231891923515115, "high": 0.4023481900388246, "log": true}}');
INSERT INTO "trial_params" VALUES(28,14,'lambda',6.66640235488098636344e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 6.666402354880986e-06, "high": 0.0007158546834396121, "log": true}}');
INSERT INTO "trial_params" VALUES(29,15,'eta',2.5231891923515115117e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(30,15,'lambda',6.66640235488098636344e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(31,16,'eta',0.0736049359854235,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(32,16,'lambda',1.57781529936689900398e-05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(33,17,'eta',2.03531735482348312415e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(34,17,'lambda',7.36636988426641377974e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(35,18,'eta',3.86542575552777822878e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(36,18,'lambda',4.89259273124255226507e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(37,19,'eta',2.44581246256584741716e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(38,19,'lambda',6.08225630644890616393e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(39,20,'eta',2.86232892940906299972e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.01, "high": 1.0, "log": true}}');
INSERT INTO "trial_params" VALUES(40,20,'lambda',2.83309970333697975011e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
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
INSERT INTO "trial_user_attributes" VALUES(1,1,'seed','1208609807');
INSERT INTO "trial_user_attributes" VALUES(2,2,'seed','1563217443');
INSERT INTO "trial_user_attributes" VALUES(3,3,'seed','2921415981');
INSERT INTO "trial_user_attributes" VALUES(4,4,'seed','3224594337');
INSERT INTO "trial_user_attributes" VALUES(5,5,'seed','2003043625');
INSERT INTO "trial_user_attributes" VALUES(6,6,'seed','2077982651');
INSERT INTO "trial_user_attributes" VALUES(7,1,'train_loss','[1.3258002263652557, 0.3021271225346402, 0.14999054992816646]');
INSERT INTO "trial_user_attributes" VALUES(8,1,'validation_loss','[0.38246744976747626, 0.2125994314903566, 0.1904374489247391]');
INSERT INTO "trial_user_attributes" VALUES(9,2,'train_loss','[2.1540824782380286, 1.2303071742567702, 0.48217148931289316]');
INSERT INTO "trial_user_attributes" VALUES(10,2,'validation_loss','[1.758553188443184, 0.7119960127025843, 0.2972771552686269]');
INSERT INTO "trial_user_attributes" VALUES(11,3,'train_loss','[2.2627871530496186]');
INSERT INTO "trial_user_attributes" VALUES(12,3,'validation_loss','[2.1451230323314667]');
INSERT INTO "trial_user_attributes" VALUES(13,4,'train_loss','[1.316486004407579, 0.34110726732244884, 0.19939076026647634]');
INSERT INTO "trial_user_attributes" VALUES(14,4,'validation_loss','[0.590904754612133, 0.34081105140697476, 0.20847967480422122]');
INSERT INTO "trial_user_attributes" VALUES(15,5,'train_loss','[2.1335010333367954]');
INSERT INTO "trial_user_attributes" VALUES(16,5,'validation_loss','[1.91502854069074]');
INSERT INTO "trial_user_attributes" VALUES(17,6,'train_loss','[2.219450374892481]');
INSERT INTO "trial_user_attributes" VALUES(18,6,'validation_loss','[2.0410736139615375]');
INSERT INTO "trial_user_attributes" VALUES(19,3,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(20,3,'reason','"pruned after epoch 1: not among the 3 best of 6"');
INSERT INTO "trial_user_attributes" VALUES(21,5,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(22,5,'reason','"pruned after epoch 1: not among the 3 best of 6"');
INSERT INTO "trial_user_attributes" VALUES(23,6,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(24,6,'reason','"pruned after epoch 1: not among the 3 best of 6"');
INSERT INTO "trial_user_attributes" VALUES(25,1,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(26,2,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(27,4,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(28,7,'seed','249880057');
INSERT INTO "trial_user_attributes" VALUES(29,8,'seed','385125390');
INSERT INTO "trial_user_attributes" VALUES(30,9,'seed','1657893446');
INSERT INTO "trial_user_attributes" VALUES(31,10,'seed','465895532');
INSERT INTO "trial_user_attributes" VALUES(32,7,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(33,7,'train_loss','[1.493612472369408, 0.3595163545517105, 0.2369101441692706]');
INSERT INTO "trial_user_attributes" VALUES(34,7,'validation_loss','[0.5099780252339163, 0.3246788851254405, 0.2140756642175461]');
INSERT INTO "trial_user_attributes" VALUES(35,8,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(36,8,'train_loss','[1.496098011001515, 0.3570129668315512, 0.1542499068998312]');
INSERT INTO "trial_user_attributes" VALUES(37,8,'validation_loss','[0.47850490164516185, 0.23091574572127332, 0.20889489458753427]');
INSERT INTO "trial_user_attributes" VALUES(38,9,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(39,9,'train_loss','[1.2451140242088496, 0.31771204446550405, 0.2214522662674052]');
INSERT INTO "trial_user_attributes" VALUES(40,9,'validation_loss','[0.33965942145144784, 0.29190257526106794, 0.22845571178152227]');
INSERT INTO "trial_user_attributes" VALUES(41,10,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(42,10,'train_loss','[1.4108755081341935, 0.3168496676781963, 0.18703700468235285]');
INSERT INTO "trial_user_attributes" VALUES(43,10,'validation_loss','[0.43210847143336045, 0.30928350538842847, 0.2605121796019273]');
INSERT INTO "trial_user_attributes" VALUES(44,11,'seed','1885677699');
INSERT INTO "trial_user_attributes" VALUES(45,12,'seed','1885677699');
INSERT INTO "trial_user_attributes" VALUES(46,13,'seed','3558595245');
INSERT INTO "trial_user_attributes" VALUES(47,14,'seed','3558595245');
INSERT INTO "trial_user_attributes" VALUES(48,11,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(49,11,'train_loss','[1.2983487530205364, 0.40821557984421303, 0.21294927816400816]');
INSERT INTO "trial_user_attributes" VALUES(50,11,'validation_loss','[0.44667799409341874, 0.28409845541624235, 0.22383293955368572]');
INSERT INTO "trial_user_attributes" VALUES(51,12,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(52,12,'train_loss','[1.4658242017851555, 0.43849806538021197, 0.24275419918488267]');
INSERT INTO "trial_user_attributes" VALUES(53,12,'validation_loss','[0.5525191342780211, 0.30329651063259616, 0.22550200524919167]');
INSERT INTO "trial_user_attributes" VALUES(54,13,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(55,13,'train_loss','[1.2381642560554251, 0.27852662113492016, 0.1631660853403983]');
INSERT INTO "trial_user_attributes" VALUES(56,13,'validation_loss','[0.3910821788133914, 0.2686636361167149, 0.12838822865287208]');
INSERT INTO "trial_user_attributes" VALUES(57,14,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(58,14,'train_loss','[1.4653752728006681, 0.32122269504166717, 0.1815494738783127]');
INSERT INTO "trial_user_attributes" VALUES(59,14,'validation_loss','[0.4997367487832283, 0.26113801067528586, 0.16008757015460712]');
INSERT INTO "trial_user_attributes" VALUES(60,15,'seed','1208609807');
INSERT INTO "trial_user_attributes" VALUES(61,16,'seed','1563217443');
INSERT INTO "trial_user_attributes" VALUES(62,17,'seed','2921415981');
INSERT INTO "trial_user_attributes" VALUES(63,18,'seed','3224594337');
INSERT INTO "trial_user_attributes" VALUES(64,19,'seed','2003043625');
INSERT INTO "trial_user_attributes" VALUES(65,20,'seed','2077982651');
INSERT INTO "trial_user_attributes" VALUES(66,15,'train_loss','[1.3258002263652557, 0.3021271225346402, 0.14999054992816646]');
INSERT INTO "trial_user_attributes" VALUES(67,15,'validation_loss','[0.38246744976747626, 0.2125994314903566, 0.1904374489247391]');
INSERT INTO "trial_user_attributes" VALUES(68,16,'train_loss','[2.1540824782380286, 1.2303071742567702, 0.48217148931289316]');
INSERT INTO "trial_user_attributes" VALUES(69,16,'validation_loss','[1.758553188443184, 0.7119960127025843, 0.2972771552686269]');
INSERT INTO "trial_user_attributes" VALUES(70,17,'train_loss','[2.2627871530496186]');
INSERT INTO "trial_user_attributes" VALUES(71,17,'validation_loss','[2.1451230323314667]');
INSERT INTO "trial_user_attributes" VALUES(74,19,'train_loss','[2.1335010333367954]');
INSERT INTO "trial_user_attributes" VALUES(75,19,'validation_loss','[1.91502854069074]');
INSERT INTO "trial_user_attributes" VALUES(76,20,'train_loss','[2.219450374892481]');
INSERT INTO "trial_user_attributes" VALUES(77,20,'validation_loss','[2.0410736139615375]');
INSERT INTO "trial_user_attributes" VALUES(78,17,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(79,17,'reason','"pruned after epoch 1: not among the 3 best of 6"');
INSERT INTO "trial_user_attributes" VALUES(80,19,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(81,19,'reason','"pruned after epoch 1: not among the 3 best of 6"');
INSERT INTO "trial_user_attributes" VALUES(82,20,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(83,20,'reason','"pruned after epoch 1: not among the 3 best of 6"');
INSERT INTO "trial_user_attributes" VALUES(84,15,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
INSERT INTO "trial_user_attributes" VALUES(85,16,'arithmetic','"x86_64; openblas SkylakeX; X86_V2 X86_V3 X86_V4 AVX512_ICL"');
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
INSERT INTO "trial_values" VALUES(1,3,0,0.33,'FINITE');
INSERT INTO "trial_values" VALUES(2,5,0,0.44,'FINITE');
INSERT INTO "trial_values" VALUES(3,6,0,3.33333333333333314829e-01,'FINITE');
INSERT INTO "trial_values" VALUES(4,1,0,9.43333333333333357018e-01,'FINITE');
INSERT INTO "trial_values" VALUES(5,2,0,9.33333333333333348136e-01,'FINITE');
INSERT INTO "trial_values" VALUES(6,4,0,0.94,'FINITE');
INSERT INTO "trial_values" VALUES(7,7,0,9.43333333333333357018e-01,'FINITE');
INSERT INTO "trial_values" VALUES(8,8,0,9.43333333333333357018e-01,'FINITE');
INSERT INTO "trial_values" VALUES(9,9,0,9.53333333333333365899e-01,'FINITE');
INSERT INTO "trial_values" VALUES(10,10,0,0.92,'FINITE');
INSERT INTO "trial_values" VALUES(11,11,0,0.92,'FINITE');
INSERT INTO "trial_values" VALUES(12,12,0,9.23333333333333339254e-01,'FINITE');
INSERT INTO "trial_values" VALUES(13,13,0,9.63333333333333374781e-01,'FINITE');
INSERT INTO "trial_values" VALUES(14,14,0,0.95,'FINITE');
INSERT INTO "trial_values" VALUES(15,17,0,0.33,'FINITE');
INSERT INTO "trial_values" VALUES(16,19,0,0.44,'FINITE');
INSERT INTO "trial_values" VALUES(17,20,0,3.33333333333333314829e-01,'FINITE');
INSERT INTO "trial_values" VALUES(18,15,0,9.43333333333333357018e-01,'FINITE');
INSERT INTO "trial_values" VALUES(19,16,0,9.33333333333333348136e-01,'FINITE');
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
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-27 07:45:04.957000','2026-11-27 07:45:05.621000');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-27 07:45:04.957000','2026-11-27 07:45:05.621000');
INSERT INTO "trials" VALUES(3,2,1,'PRUNED','2026-11-27 07:45:05.256000','2026-11-27 07:45:05.459000');
INSERT INTO "trials" VALUES(4,3,1,'COMPLETE','2026-11-27 07:45:05.256000','2026-11-27 07:45:05.780000');
INSERT INTO "trials" VALUES(5,4,1,'PRUNED','2026-11-27 07:45:05.350000','2026-11-27 07:45:05.459000');
INSERT INTO "trials" VALUES(6,5,1,'PRUNED','2026-11-27 07:45:05.350000','2026-11-27 07:45:05.459000');
INSERT INTO "trials" VALUES(7,0,2,'COMPLETE','2026-11-27 07:45:06.233000','2026-11-27 07:45:06.335000');
INSERT INTO "trials" VALUES(8,1,2,'COMPLETE','2026-11-27 07:45:06.233000','2026-11-27 07:45:06.335000');
INSERT INTO "trials" VALUES(9,2,2,'COMPLETE','2026-11-27 07:45:06.373000','2026-11-27 07:45:06.457000');
INSERT INTO "trials" VALUES(10,3,2,'COMPLETE','2026-11-27 07:45:06.373000','2026-11-27 07:45:06.457000');
INSERT INTO "trials" VALUES(11,0,3,'COMPLETE','2026-11-27 07:45:06.754000','2026-11-27 07:45:06.894000');
INSERT INTO "trials" VALUES(12,1,3,'COMPLETE','2026-11-27 07:45:06.754000','2026-11-27 07:45:06.894000');
INSERT INTO "trials" VALUES(13,2,3,'COMPLETE','2026-11-27 07:45:06.930000','2026-11-27 07:45:07.016000');
INSERT INTO "trials" VALUES(14,3,3,'COMPLETE','2026-11-27 07:45:06.930000','2026-11-27 07:45:07.016000');
INSERT INTO "trials" VALUES(15,0,4,'COMPLETE','2026-11-27 07:45:09.927000','2026-11-27 07:45:10.335000');
INSERT INTO "trials" VALUES(16,1,4,'COMPLETE','2026-11-27 07:45:09.927000','2026-11-27 07:45:10.335000');
INSERT INTO "trials" VALUES(17,2,4,'PRUNED','2026-11-27 07:45:10.022000','2026-11-27 07:45:10.233000');
INSERT INTO "trials" VALUES(18,3,4,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(19,4,4,'PRUNED','2026-11-27 07:45:10.126000','2026-11-27 07:45:10.233000');
INSERT INTO "trials" VALUES(20,5,4,'PRUNED','2026-11-27 07:45:10.126000','2026-11-27 07:45:10.233000');
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
