/* Bare-metal Cortex-M: vector table, memory initialisation, then main(). The linker script names the borders. */
#if !defined(ARDUINO) && defined(__arm__)
#include <stdint.h>

typedef void (*tbn_handler)(void);

int main(void);
extern const tbn_handler tbn_vectors[16];
extern uint32_t tbn_stack_top, tbn_data_image, tbn_data_start, tbn_data_end, tbn_bss_start, tbn_bss_end;

__attribute__((noreturn, used)) void Reset_Handler(void)
{
    __asm volatile("cpsid i"); /* a boot loader may have left interrupts on; this firmware polls */
#if !defined(__ARM_ARCH_6M__)  /* the RP2040's second stage did it, the nRF51822 cannot */
    *(volatile uintptr_t *)(uintptr_t)0xE000ED08u = (uintptr_t)tbn_vectors; /* VTOR */
#endif
#if defined(__ARM_FP)
    *(volatile uint32_t *)(uintptr_t)0xE000ED88u |= 0xFu << 20; /* CPACR: floating-point unit on */
    __asm volatile("dsb\n\tisb");
#endif
    const uint32_t *from = &tbn_data_image;
    for (uint32_t *to = &tbn_data_start; to < &tbn_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = &tbn_bss_start; to < &tbn_bss_end; to++) {
        *to = 0;
    }
    (void)main();
    for (;;) {
        __asm volatile("wfi");
    }
}

__attribute__((used)) static void Fault_Handler(void)
{
    for (;;) {
        __asm volatile("wfi");
    }
}

__attribute__((section(".isr_vector"), used)) const tbn_handler tbn_vectors[16] = {
    (tbn_handler)(uintptr_t)&tbn_stack_top, Reset_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, 0, 0, 0,
    0, Fault_Handler, Fault_Handler, 0, Fault_Handler, Fault_Handler};
#endif
