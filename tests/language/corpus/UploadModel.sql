UPLOAD MODEL beans_mobilevit OPTIONS ( framework='pytorch', overwrite=True ) FROM 'trained_model.pth';
UPLOAD MODEL beans_mobilevit OPTIONS (overwrite=True, framework="pytorch") FROM "test/udm_tutorial/trained_model.pth";
UPLOAD MODEL beans_mobilevit OPTIONS ( framework="pytorch", overwrite=True ) FROM "trained_model.pth";
UPLOAD MODEL beans_mobilevit OPTIONS ( overwrite=True, framework="pytorch" ) FROM "trained_model.pth";
UPLOAD MODEL beans_mobilevit OPTIONS ( overwrite=True, framework="pytorch" ) FROM "test/udm_tutorial/trained_model.pth";
UPLOAD MODEL mymodel OPTIONS (overwrite=True, framework="pytorch") FROM "model/example_model.pth";
UPLOAD MODEL m FROM 'folder';
UPLOAD MODEL m OPTIONS (framework=pytorch) FROM $1;
