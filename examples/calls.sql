COPY calls FROM 'calls_test.csv';

PRINT AUDIO AS SELECT audio_path FROM calls ORDER BY audio_path LIMIT 2;

CREATE VIEW heard AS
PREDICT USING voice_tiny AS SELECT * FROM calls;

SELECT text, predicted FROM heard ORDER BY audio_path LIMIT 3;

SELECT region, count(*) AS refunds
FROM heard WHERE predicted LIKE '%refund%'
GROUP BY region ORDER BY region;
