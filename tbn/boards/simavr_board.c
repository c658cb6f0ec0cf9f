/* An ATmega on simavr: standard input leads to its USART0, and USART0 to standard output.
 *
 *     simavr_board atmega328p 16000000 flash.bin 1234
 *
 * The last number is the first address of the RAM that no variable has: a stack that grows below it is an error, too.
 * Runs as fast as it can while the firmware computes, and as fast as a real board while it waits for a byte. Ends with its input; a core
 * that stops is a line on standard error and status 3. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_io.h>
#include <simavr/sim_irq.h>

enum { STACK_POINTER = 0x5D, OVERFLOW_INSTRUCTIONS = 16, SLICES_PER_SECOND = 1000, USART0_STATUS = 0xC0, IDLE_POLLS = 16, MOST = 4096 };

static uint8_t received[MOST], sent[MOST];
static int received_count, received_used, sent_count, may_receive = 1, polls;
static avr_io_read_t status_read;
static void *status_parameter;

static void flush_sent(void)
{
    for (int done = 0; done < sent_count;) {
        const ssize_t count = write(STDOUT_FILENO, sent + done, (size_t)(sent_count - done));
        if (count <= 0) {
            exit(0);
        }
        done += (int)count;
    }
    sent_count = 0;
}

static void on_sent(struct avr_irq_t *irq, uint32_t value, void *parameter)
{
    (void)irq;
    (void)parameter;
    sent[sent_count++] = (uint8_t)value;
    if (sent_count == MOST) {
        flush_sent();
    }
}

static void on_room(struct avr_irq_t *irq, uint32_t value, void *parameter)
{
    (void)irq;
    (void)value;
    may_receive = parameter != NULL;
}

static uint8_t on_status_read(struct avr_t *avr, avr_io_addr_t address, void *parameter)
{
    (void)parameter;
    polls++;
    return status_read(avr, address, status_parameter);
}

static void no_log(struct avr_t *avr, const int level, const char *format, va_list arguments)
{
    (void)avr;
    (void)level;
    (void)format;
    (void)arguments;
}

static avr_t *power_on(const char *chip, uint32_t hertz, const char *image)
{
    avr_global_logger_set(no_log);
    avr_t *const avr = avr_make_mcu_by_name(chip);
    FILE *const file = fopen(image, "rb");
    if (avr == NULL || file == NULL || avr_init(avr) != 0) {
        fprintf(stderr, "simavr has no %s, or there is no %s\n", chip, image);
        exit(2);
    }
    memset(avr->flash, 0xFF, avr->flashend + 1);
    avr->codeend = (avr_flashaddr_t)fread(avr->flash, 1, avr->flashend + 1, file);
    fclose(file);
    avr->frequency = hertz;
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_sent, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_room, avr);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_room, NULL);
    status_read = avr->io[AVR_DATA_TO_IO(USART0_STATUS)].r.c;
    status_parameter = avr->io[AVR_DATA_TO_IO(USART0_STATUS)].r.param;
    avr->io[AVR_DATA_TO_IO(USART0_STATUS)].r.c = on_status_read;
    return avr;
}

/* Whether the stack lies among the variables, and not only for the moment between two halves of a new stack pointer. */
static int stack_overflows(const avr_t *avr, uint16_t lowest)
{
    static int below, set_up;
    const uint16_t pointer = (uint16_t)(avr->data[STACK_POINTER] | avr->data[STACK_POINTER + 1] << 8);
    set_up |= pointer >= lowest;
    below = set_up && pointer < lowest ? below + 1 : 0;
    return below > OVERFLOW_INSTRUCTIONS;
}

int main(int count, char **arguments)
{
    if (count != 5) {
        return 2;
    }
    const uint16_t lowest = (uint16_t)strtoul(arguments[4], NULL, 10);
    avr_t *const avr = power_on(arguments[1], (uint32_t)strtoul(arguments[2], NULL, 10), arguments[3]);
    avr_irq_t *const input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    for (;;) {
        const avr_cycle_count_t end = avr->cycle + avr->frequency / SLICES_PER_SECOND;
        polls = 0;
        while (avr->cycle < end) {
            const int state = avr_run(avr);
            if (state == cpu_Done || state == cpu_Crashed) {
                flush_sent();
                fprintf(stderr, "the core stopped at program counter 0x%05x\n", (unsigned)avr->pc);
                return 3;
            }
            if (stack_overflows(avr, lowest)) {
                flush_sent();
                fprintf(stderr, "the stack grew into the variables: the model needs more RAM than the board has\n");
                return 3;
            }
            if (received_used < received_count && may_receive) {
                avr_raise_irq(input, received[received_used++]);
            }
        }
        const int waits = polls >= IDLE_POLLS && sent_count == 0 && received_used == received_count;
        flush_sent();
        struct pollfd line = {STDIN_FILENO, POLLIN, 0};
        if (received_used == received_count && poll(&line, 1, waits ? 1000 / SLICES_PER_SECOND : 0) > 0) {
            received_count = (int)read(STDIN_FILENO, received, MOST);
            received_used = 0;
            if (received_count <= 0) {
                return 0;
            }
        }
    }
}
