#include "../include/tbn_integer.h" /* the Arduino IDE looks for headers in src */
