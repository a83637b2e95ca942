DELETE MODEL user_rec;
DELETE MODEL titanic_classification;
DELETE MODEL mymodel;
DELETE MODEL my_movie_rec;
DELETE MODEL "m";
delete model 모델;
DELETE /* the old */ MODEL -- one
"my model";
delete model 'm@b';
