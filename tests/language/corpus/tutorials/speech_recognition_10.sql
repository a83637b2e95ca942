COPY librispeech_train FROM "tutorial_data/librispeech_data/librispeech_train.csv";
COPY librispeech_test FROM "tutorial_data/librispeech_data/librispeech_test.csv";
SELECT * FROM librispeech_train LIMIT 5;
PRINT AUDIO AS SELECT audio_path FROM librispeech_train LIMIT 3;
PREDICT USING tutorial_audio_recognition OPTIONS ( audio_col='audio_path', text_col='text', epochs=1, batch_size=8 ) AS SELECT * FROM librispeech_train;
BUILD MODEL my_speech_recognition_model USING Wav2Vec2En OPTIONS ( audio_col='audio_path', text_col='text', epochs=1, batch_size=4 ) AS SELECT * FROM librispeech_train;
PREDICT USING my_speech_recognition_model OPTIONS ( audio_col='audio_path' ) AS SELECT * FROM librispeech_test;
