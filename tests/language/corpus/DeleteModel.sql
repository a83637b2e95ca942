DELETE MODEL user_rec;
DELETE MODEL titanic_classification;
DELETE MODEL mymodel;
DELETE MODEL my_movie_rec;
DELETE MODEL "m";
delete model 모델;
