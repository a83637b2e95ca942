SELECT * FROM librispeech_train;
SELECT * FROM librispeech_test;
BUILD MODEL my_asr_model USING Wav2Vec2En OPTIONS (audio_col='audio', text_col='text', epochs=1, batch_size=8) AS SELECT * FROM librispeech_train;
