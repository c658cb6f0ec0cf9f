#include "../include/tbn_integer_vectors.h" /* the Arduino IDE looks for headers in src */
