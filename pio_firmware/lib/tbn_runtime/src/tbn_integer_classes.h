#include "../include/tbn_integer_classes.h" /* the Arduino IDE looks for headers in src */
