/* Bare metal. With an Arduino core, main_arduino.cpp takes this file's place. */
#if !defined(ARDUINO)
#include "device.h"

int main(void)
{
    device_init();
    for (;;) {
        device_poll();
    }
}
#endif
