PREDICT USING my_asr_model AS SELECT * FROM librispeech_test;
