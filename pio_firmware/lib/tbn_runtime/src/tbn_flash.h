#include "../include/tbn_flash.h" /* the Arduino IDE looks for headers in src */
