GET THANOSQL DATASET librispeech_data OPTIONS (overwrite=True);
COPY librispeech_train OPTIONS (if_exists='replace') FROM 'thanosql-dataset/librispeech_data/librispeech_train.csv';
COPY librispeech_test OPTIONS (if_exists='replace') FROM 'thanosql-dataset/librispeech_data/librispeech_test.csv';
GET THANOSQL MODEL wav2vec2 OPTIONS ( model_name='tutorial_audio_recognition', overwrite=True );
SELECT * FROM librispeech_train LIMIT 5;
PRINT AUDIO AS SELECT audio_path FROM librispeech_train LIMIT 3;
PREDICT USING tutorial_audio_recognition OPTIONS ( audio_col='audio_path', batch_size=8 ) AS SELECT * FROM librispeech_train;
BUILD MODEL my_speech_recognition_model USING Wav2Vec2En OPTIONS ( audio_col='audio_path', text_col='text', max_epochs=1, batch_size=4, overwrite= True ) AS SELECT * FROM librispeech_train;
PREDICT USING my_speech_recognition_model OPTIONS ( audio_col='audio_path', result_col='predict_result', table_name='librispeech_test' ) AS SELECT * FROM librispeech_test;
