/* ATmega328P (Arduino Uno) and ATmega2560 (Mega): USART0, which the board's USB chip shows to the computer as a serial port. Polled; it keeps
 * two bytes. Timer 1 counts the core's clocks; its interrupt, some 40 clocks in 65,536, counts its rounds. */
#if !defined(ARDUINO) && defined(__AVR__)
#include <avr/interrupt.h>
#include <avr/io.h>

#include "tbn_port.h"

static volatile uint16_t tbn_port_rounds;

ISR(TIMER1_OVF_vect)
{
    tbn_port_rounds++;
}

void tbn_port_init(void)
{
    UBRR0 = (uint16_t)((F_CPU / 8 + TBN_PORT_BAUD / 2) / TBN_PORT_BAUD - 1);
    UCSR0A = 1 << U2X0;
    UCSR0C = 3 << UCSZ00;
    UCSR0B = 1 << TXEN0 | 1 << RXEN0;
    TCCR1A = 0;
    TCCR1B = 1 << CS10;
    TIMSK1 = 1 << TOIE1;
    sei();
}

uint32_t tbn_port_read(uint8_t *to, uint32_t most)
{
    uint32_t count = 0;
    while (count < most && (UCSR0A & 1 << RXC0) != 0) {
        to[count++] = UDR0;
    }
    return count;
}

void tbn_port_write(uint8_t byte)
{
    while ((UCSR0A & 1 << UDRE0) == 0) {
    }
    UDR0 = byte;
}

uint32_t tbn_port_ticks(void)
{
    const uint8_t status = SREG;
    cli();
    uint16_t low = TCNT1;
    uint16_t rounds = tbn_port_rounds;
    if ((TIFR1 & 1 << TOV1) != 0) { /* it went round since then, and nobody counted it yet */
        low = TCNT1;
        rounds++;
    }
    SREG = status;
    return (uint32_t)rounds << 16 | low;
}

tbn_tick_unit tbn_port_tick_unit(void)
{
    return TBN_TICKS_CORE_CLOCK;
}

uint32_t tbn_port_ticks_per_second(void)
{
    return F_CPU;
}
#endif
