#include "../include/tbn_integer_orders.h" /* the Arduino IDE looks for headers in src */
