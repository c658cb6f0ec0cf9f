/* RP2040: the first 256 bytes of the flash. The boot ROM copies them to RAM, checks that the last four are the CRC-32 of the others (the
 * build appends it, see image.py) and runs them. They let the core read the flash like memory, with the plain command 03h that any flash
 * chip knows, and enter the program behind them. Registers: RP2040 datasheet, chapter 4.10 (SSI); boot sequence: chapter 2.8.1. */
#if !defined(ARDUINO) && defined(TBN_MCU_RP2040)

__attribute__((naked, used, section(".boot2"))) void Boot2_Handler(void)
{
    __asm volatile(".syntax unified\n"
                   "ldr r0, =0x18000000\n" /* SSI */
                   "movs r1, #0\n"
                   "str r1, [r0, #0x08]\n" /* off */
                   "movs r1, #2\n"
                   "str r1, [r0, #0x14]\n" /* half the core's clock */
                   "ldr r1, =0x001F0300\n" /* 32 bits at a time, each read with a command of its own */
                   "str r1, [r0, #0x00]\n"
                   "movs r1, #0\n"
                   "str r1, [r0, #0x04]\n" /* one word a read */
                   "ldr r1, =0x03000218\n" /* command 03h, 24 bits of address */
                   "movs r2, #0xF4\n"
                   "str r1, [r0, r2]\n"
                   "movs r1, #1\n"
                   "str r1, [r0, #0x08]\n" /* on */
                   "ldr r0, =0x10000100\n" /* vector table */
                   "ldr r1, =0xE000ED08\n"
                   "str r0, [r1]\n"
                   "ldr r1, [r0]\n"
                   "msr msp, r1\n"
                   "ldr r1, [r0, #4]\n"
                   "bx r1\n"
                   ".ltorg\n");
}
#endif
