SELECT * FROM librispeech_train LIMIT 5;
BUILD MODEL my_speech_recognition_model USING Wav2Vec2En OPTIONS (audio_col='audio', text_col='text', epochs=1, batch_size=4) AS SELECT * FROM librispeech_train;
PREDICT USING my_speech_recognition_model OPTIONS (audio_col='audio') AS SELECT * FROM librispeech_test;
