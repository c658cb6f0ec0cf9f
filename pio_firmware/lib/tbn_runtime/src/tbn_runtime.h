#include "../include/tbn_runtime.h" /* the Arduino IDE looks for headers in src */
