/* Nucleo-F411RE: USART2 on PA2 (out) and PA3 (in), which the ST-LINK shows to the computer as a serial port. Polled; the core runs on the
 * 16 MHz oscillator that it starts with, so a byte at 115200 baud takes 1389 clocks: time enough to take each one. */
#if !defined(ARDUINO) && defined(TBN_MCU_STM32F411)
#include "tbn_port.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

enum { CORE_HZ = 16000000 };

#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define GPIOA_MODER REGISTER(0x40020000u)
#define GPIOA_AFRL REGISTER(0x40020020u)
#define USART2_SR REGISTER(0x40004400u)
#define USART2_DR REGISTER(0x40004404u)
#define USART2_BRR REGISTER(0x40004408u)
#define USART2_CR1 REGISTER(0x4000440Cu)
#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)

#define SR_OVERRUN (1u << 3)
#define SR_RECEIVED (1u << 5)
#define SR_TRANSMIT_EMPTY (1u << 7)

void tbn_port_init(void)
{
    RCC_AHB1ENR |= 1u;       /* clock of GPIOA */
    RCC_APB1ENR |= 1u << 17; /* clock of USART2 */
    (void)RCC_APB1ENR;       /* the clock is there two cycles later */
    GPIOA_AFRL = (GPIOA_AFRL & ~(0xFFu << 8)) | (0x77u << 8);  /* PA2, PA3: function 7 */
    GPIOA_MODER = (GPIOA_MODER & ~(0xFu << 4)) | (0xAu << 4);
    USART2_BRR = (CORE_HZ + TBN_PORT_BAUD / 2) / TBN_PORT_BAUD;
    USART2_CR1 = (1u << 13) | (1u << 3) | (1u << 2); /* on, transmit, receive */
    DEMCR |= 1u << 24;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
}

uint32_t tbn_port_read(uint8_t *to, uint32_t most)
{
    uint32_t count = 0;
    while (count < most && (USART2_SR & (SR_RECEIVED | SR_OVERRUN)) != 0) {
        to[count++] = (uint8_t)(USART2_DR & 0xFFu); /* reading status, then data, clears an overrun too; the CRC finds the lost byte */
    }
    return count;
}

void tbn_port_write(uint8_t byte)
{
    while ((USART2_SR & SR_TRANSMIT_EMPTY) == 0) {
    }
    USART2_DR = byte;
}

uint32_t tbn_port_ticks(void)
{
    return DWT_CYCCNT;
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
