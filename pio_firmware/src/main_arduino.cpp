#if defined(ARDUINO)
#include <Arduino.h>

#include "device.h"

void setup()
{
    device_init();
}

void loop()
{
    device_poll();
}
#endif
