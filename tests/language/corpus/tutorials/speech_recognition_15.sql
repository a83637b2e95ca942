GET THANOSQL DATASET korean_voice_data OPTIONS (overwrite=True);
COPY korean_voice OPTIONS ( overwrite=True ) FROM "thanosql-dataset/korean_voice_data/korean_voice.csv";
GET THANOSQL MODEL whisper_s OPTIONS (overwrite=True) AS whisper_small;
SELECT * FROM korean_voice;
PRINT AUDIO AS SELECT audio_path FROM korean_voice LIMIT 3;
PREDICT USING whisper_small OPTIONS ( audio_col="audio_path", language="ko", task="transcribe" ) AS SELECT * FROM korean_voice;
PREDICT USING whisper_small OPTIONS ( audio_col="audio_path", language="ko", task="translate" ) AS SELECT * FROM korean_voice;
