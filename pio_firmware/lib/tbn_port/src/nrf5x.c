/* nRF51822 (BBC micro:bit v1) and nRF52840 (Arduino Nano 33 BLE): UART0, polled; it keeps six bytes until they are taken.
 * The micro:bit's pins lead to its interface chip, which shows them to the computer as a serial port; those of the Nano are its header
 * pins TX1 and RX0, for a USB serial adapter of 3.3 V (USB itself belongs to the Arduino image).
 * Registers: nRF51 Series Reference Manual 3.0.1; nRF52840 Product Specification 1.7, chapters UART (deprecated there, but kept) and GPIO. */
#if !defined(ARDUINO) && (defined(TBN_MCU_NRF51822) || defined(TBN_MCU_NRF52840))
#include "tbn_port.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#if defined(TBN_MCU_NRF51822)
enum { CORE_HZ = 16000000, PIN_OUT = 24, PIN_IN = 25 }; /* P0.24, P0.25 */
#define GPIO 0x50000000u
#define PIN_NUMBER(pin) (pin)
#else
enum { CORE_HZ = 64000000, PIN_OUT = 3, PIN_IN = 10 }; /* P1.03, P1.10 */
#define GPIO 0x50000300u
#define PIN_NUMBER(pin) (32u + (pin)) /* port 1 */
#endif

#define CLOCK_START_CRYSTAL REGISTER(0x40000000u)
#define CLOCK_CRYSTAL_RUNS REGISTER(0x40000100u)
#define UART_START_RECEIVER REGISTER(0x40002000u)
#define UART_START_TRANSMITTER REGISTER(0x40002008u)
#define UART_RECEIVED REGISTER(0x40002108u)
#define UART_SENT REGISTER(0x4000211Cu)
#define UART_ENABLE REGISTER(0x40002500u)
#define UART_PIN_OUT REGISTER(0x4000250Cu)
#define UART_PIN_IN REGISTER(0x40002514u)
#define UART_RECEIVE REGISTER(0x40002518u)
#define UART_TRANSMIT REGISTER(0x4000251Cu)
#define UART_BAUD REGISTER(0x40002524u)
#define GPIO_SET REGISTER(GPIO + 0x508u)
#define GPIO_OUTPUTS REGISTER(GPIO + 0x518u)
#define GPIO_PIN(pin) REGISTER(GPIO + 0x700u + 4u * (pin))

#define BAUD_115200 0x01D7E000u
#define PIN_PULLED_UP (3u << 2)

#if defined(TBN_MCU_NRF51822) /* this Cortex-M0 has neither a cycle counter nor SysTick: TIMER0 counts the same 16 MHz */
#define TIMER_START REGISTER(0x40008000u)
#define TIMER_CAPTURE REGISTER(0x40008040u)
#define TIMER_BITS REGISTER(0x40008508u)
#define TIMER_PRESCALER REGISTER(0x40008510u)
#define TIMER_CAPTURED REGISTER(0x40008540u)

static void ticks_init(void)
{
    TIMER_BITS = 3; /* 32 */
    TIMER_PRESCALER = 0;
    TIMER_START = 1;
}

uint32_t tbn_port_ticks(void)
{
    TIMER_CAPTURE = 1;
    return TIMER_CAPTURED;
}
#else
#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)

static void ticks_init(void)
{
    DEMCR |= 1u << 24;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
}

uint32_t tbn_port_ticks(void)
{
    return DWT_CYCCNT;
}
#endif

void tbn_port_init(void)
{
    CLOCK_START_CRYSTAL = 1; /* the oscillator that the chip starts with is too coarse for a serial line */
    for (uint32_t i = 0; i < 100000u && CLOCK_CRYSTAL_RUNS == 0; i++) {
    }
    GPIO_SET = 1u << PIN_OUT; /* the line rests high */
    GPIO_OUTPUTS = 1u << PIN_OUT;
    GPIO_PIN(PIN_IN) = PIN_PULLED_UP;
    UART_ENABLE = 0; /* pins can only be chosen while it is off */
    UART_PIN_OUT = PIN_NUMBER(PIN_OUT);
    UART_PIN_IN = PIN_NUMBER(PIN_IN);
    UART_BAUD = BAUD_115200;
    UART_ENABLE = 4;
    UART_RECEIVED = 0;
    UART_START_TRANSMITTER = 1;
    UART_START_RECEIVER = 1;
    ticks_init();
}

uint32_t tbn_port_read(uint8_t *to, uint32_t most)
{
    uint32_t count = 0;
    while (count < most && UART_RECEIVED != 0) {
        UART_RECEIVED = 0; /* before the byte is taken: the next one in the queue raises it again */
        to[count++] = (uint8_t)(UART_RECEIVE & 0xFFu);
    }
    return count;
}

void tbn_port_write(uint8_t byte)
{
    UART_SENT = 0;
    UART_TRANSMIT = byte;
    while (UART_SENT == 0) {
    }
}

tbn_tick_unit tbn_port_tick_unit(void)
{
    return TBN_TICKS_CORE_CLOCK;
}

uint32_t tbn_port_ticks_per_second(void)
{
    return CORE_HZ;
}
#endif
