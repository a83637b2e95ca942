GET THANOSQL DATASET korean_voice_data OPTIONS (overwrite=True);
COPY korean_voice OPTIONS (overwrite=True) FROM "thanosql-dataset/korean_voice_data/korean_voice.csv";
GET THANOSQL MODEL whisper_s OPTIONS (overwrite=True) AS tutorial_whisper_small;
SELECT * FROM korean_voice LIMIT 5;
PRINT AUDIO AS SELECT audio_path FROM korean_voice LIMIT 3;
PREDICT USING tutorial_whisper_small OPTIONS ( audio_col="audio_path", language="ko", task="transcribe", column_name="predict_result" ) AS SELECT * FROM korean_voice;
PREDICT USING tutorial_whisper_small OPTIONS ( audio_col="audio_path", language="ko", task="translate", column_name="predict_result" ) AS SELECT * FROM korean_voice;
