/* Raspberry Pi Pico: UART0 on GP0 (out) and GP1 (in), for a USB serial adapter of 3.3 V or a debug probe. Polled; it keeps 32 bytes. The
 * core runs on the 12 MHz crystal. Registers: RP2040 datasheet, chapters 2.14 to 2.16, 2.19, 4.2, 4.6 and 4.7. */
#if !defined(ARDUINO) && defined(TBN_MCU_RP2040)
#include "tbn_port.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

enum { CORE_HZ = 12000000, CLOCKS_PER_MICROSECOND = CORE_HZ / 1000000 };

#define CLK_REF_CTRL REGISTER(0x40008030u)
#define CLK_REF_SELECTED REGISTER(0x40008038u)
#define CLK_SYS_CTRL REGISTER(0x4000803Cu)
#define CLK_SYS_SELECTED REGISTER(0x40008044u)
#define CLK_PERI_CTRL REGISTER(0x40008048u)
#define RESETS_CLEAR REGISTER(0x4000F000u) /* clears the bits written as ones */
#define RESETS_DONE REGISTER(0x4000C008u)
#define GPIO0_CTRL REGISTER(0x40014004u)
#define GPIO1_CTRL REGISTER(0x4001400Cu)
#define GPIO1_PAD REGISTER(0x4001C008u)
#define XOSC_CTRL REGISTER(0x40024000u)
#define XOSC_STATUS REGISTER(0x40024004u)
#define XOSC_STARTUP REGISTER(0x4002400Cu)
#define UART_DATA REGISTER(0x40034000u)
#define UART_FLAGS REGISTER(0x40034018u)
#define UART_BAUD_WHOLE REGISTER(0x40034024u)
#define UART_BAUD_64THS REGISTER(0x40034028u)
#define UART_LINE REGISTER(0x4003402Cu)
#define UART_CTRL REGISTER(0x40034030u)
#define TIMER_MICROSECONDS REGISTER(0x40054028u)
#define WATCHDOG_TICK REGISTER(0x4005802Cu)
#define SYSTICK_CTRL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)

#define NEEDED (1u << 5 | 1u << 8 | 1u << 21 | 1u << 22) /* pins, pads, timer, UART0 */
#define PAD_INPUT_PULLED_UP 0x5Au
#define FLAG_NOTHING_RECEIVED (1u << 4)
#define FLAG_TRANSMITTER_FULL (1u << 5)
#define BAUD_DIVISOR_64THS ((CORE_HZ * 4u + TBN_PORT_BAUD / 2u) / TBN_PORT_BAUD)

void tbn_port_init(void)
{
    XOSC_CTRL = 0xAA0u; /* 1 to 15 MHz */
    XOSC_STARTUP = 47;  /* 1 ms */
    XOSC_CTRL = 0xAA0u | 0xFABu << 12;
    while ((XOSC_STATUS & 1u << 31) == 0) {
    }
    CLK_REF_CTRL = 2; /* crystal */
    while (CLK_REF_SELECTED != 1u << 2) {
    }
    CLK_SYS_CTRL = 0; /* the same */
    while (CLK_SYS_SELECTED != 1u) {
    }
    CLK_PERI_CTRL = 1u << 11;
    RESETS_CLEAR = NEEDED;
    while ((RESETS_DONE & NEEDED) != NEEDED) {
    }
    GPIO1_PAD = PAD_INPUT_PULLED_UP;
    GPIO0_CTRL = 2;
    GPIO1_CTRL = 2;
    UART_BAUD_WHOLE = BAUD_DIVISOR_64THS >> 6;
    UART_BAUD_64THS = BAUD_DIVISOR_64THS & 63u;
    UART_LINE = 3u << 5 | 1u << 4;            /* 8 bits, queues on */
    UART_CTRL = 1u | 1u << 8 | 1u << 9;       /* on, transmit, receive */
    WATCHDOG_TICK = CLOCKS_PER_MICROSECOND | 1u << 9; /* TIMER's microsecond */
    SYSTICK_RELOAD = 0xFFFFFFu;
    SYSTICK_VALUE = 0;
    SYSTICK_CTRL = 5; /* on, core clock */
}

uint32_t tbn_port_read(uint8_t *to, uint32_t most)
{
    uint32_t count = 0;
    while (count < most && (UART_FLAGS & FLAG_NOTHING_RECEIVED) == 0) {
        to[count++] = (uint8_t)(UART_DATA & 0xFFu);
    }
    return count;
}

void tbn_port_write(uint8_t byte)
{
    while ((UART_FLAGS & FLAG_TRANSMITTER_FULL) != 0) {
    }
    UART_DATA = byte;
}

/* SysTick has 24 bits of the core's clocks; the microseconds say how often it went round. Both come from the one crystal. */
uint32_t tbn_port_ticks(void)
{
    const uint32_t fine = 0u - SYSTICK_VALUE;
    const uint32_t coarse = TIMER_MICROSECONDS * CLOCKS_PER_MICROSECOND;
    const uint32_t ahead = (fine - coarse) & 0xFFFFFFu;
    return ahead < 0x800000u ? coarse + ahead : coarse + ahead - 0x1000000u;
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
