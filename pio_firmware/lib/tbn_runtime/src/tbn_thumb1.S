/* The inner loops of tbn_integer_table_sums.c and tbn_integer_four.c in the instructions of Cortex-M0 and M0+, whose eight low registers
 * compilers run out of. */
#if defined(__thumb__) && !defined(__thumb2__)

    .syntax unified
    .thumb

/* uint32_t tbn_thumb1_fill(const uint8_t *codes, uint32_t groups, uint32_t none, uint32_t less, uint32_t *words)
 * `groups` >= 1 times four codes to eight words of two sums each. Returns the sum of their last words.
 * r0 codes, r1 words, r2 .. r5 four words, r6 and r7 for a while; r8 total, r9 end of the codes, r12 none, lr less. */
    .section .text.tbn_thumb1_fill, "ax", %progbits
    .global tbn_thumb1_fill
    .type tbn_thumb1_fill, %function
    .thumb_func
    .balign 4
tbn_thumb1_fill:
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    mov r12, r2
    mov lr, r3
    lsls r1, r1, #2
    adds r1, r1, r0
    mov r9, r1
    ldr r1, [sp, #28]
    movs r2, #0
    mov r8, r2
.Lfill:
    ldrb r2, [r0, #0]
    lsls r2, r2, #16
    add r2, r12
    ldrb r6, [r0, #1]
    lsls r7, r6, #16
    adds r6, r6, r7
    add r6, lr
    adds r3, r2, r6
    ldrb r6, [r0, #2]
    lsls r7, r6, #16
    adds r6, r6, r7
    add r6, lr
    adds r4, r2, r6
    adds r5, r3, r6
    stmia r1!, {r2, r3, r4, r5}
    ldrb r6, [r0, #3]
    lsls r7, r6, #16
    adds r6, r6, r7
    add r6, lr
    adds r2, r2, r6
    adds r3, r3, r6
    adds r4, r4, r6
    adds r5, r5, r6
    stmia r1!, {r2, r3, r4, r5}
    add r8, r5
    adds r0, #4
    cmp r0, r9
    bne .Lfill
    mov r0, r8
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4, r5, r6, r7, pc}
    .size tbn_thumb1_fill, . - tbn_thumb1_fill

/* void tbn_thumb1_rows(const uint8_t *a, const uint8_t *b, uint32_t step, uint32_t bytes, const uint16_t *table, int32_t *sums,
 *                      const int32_t *end)
 * Adds to sums[0] and sums[1] what 1 to 8 `bytes` of signs at `a` and at `b` select of the tables; goes on by `step` bytes and two sums
 * until `end`. The code of 8 - bytes is jumped over.
 * r0 a, r1 b, r2 table, r3 and r4 signs, r5 for a while, r6 sums, r7 first sum; r8 second sum, r9 step, r10 first table, r11 where to begin, r12 end. */
    .macro tbn_byte at
    ldrb r3, [r0, #\at]
    lsls r5, r3, #28
    lsrs r5, r5, #27
    ldrh r5, [r2, r5]
    adds r7, r7, r5
    ldrb r4, [r1, #\at]
    lsls r5, r4, #28
    lsrs r5, r5, #27
    ldrh r5, [r2, r5]
    add r8, r5
    adds r2, #32
    lsrs r3, r3, #4
    lsls r3, r3, #1
    ldrh r3, [r2, r3]
    adds r7, r7, r3
    lsrs r4, r4, #4
    lsls r4, r4, #1
    ldrh r4, [r2, r4]
    add r8, r4
    adds r2, #32
    .endm

    .section .text.tbn_thumb1_rows, "ax", %progbits
    .global tbn_thumb1_rows
    .type tbn_thumb1_rows, %function
    .thumb_func
    .balign 4
tbn_thumb1_rows:
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4, r5, r6, r7}
    mov r9, r2
    movs r4, #8
    subs r4, r4, r3
    subs r0, r0, r4
    subs r1, r1, r4
    movs r5, #40 /* bytes of code of a byte of signs */
    muls r4, r5
    adr r5, .Lbytes
    adds r4, r4, r5
    mov r11, r4
    ldr r4, [sp, #36]
    mov r10, r4
    ldr r6, [sp, #40]
    ldr r4, [sp, #44]
    mov r12, r4
.Lpair:
    ldr r7, [r6, #0]
    ldr r5, [r6, #4]
    mov r8, r5
    mov r2, r10
    mov pc, r11
    .balign 4
.Lbytes:
    tbn_byte 0
    tbn_byte 1
    tbn_byte 2
    tbn_byte 3
    tbn_byte 4
    tbn_byte 5
    tbn_byte 6
    tbn_byte 7
    str r7, [r6, #0]
    mov r5, r8
    str r5, [r6, #4]
    adds r6, #8
    add r0, r9
    add r1, r9
    cmp r6, r12
    beq .Ldone
    b .Lpair
.Ldone:
    pop {r4, r5, r6, r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4, r5, r6, r7, pc}
    .size tbn_thumb1_rows, . - tbn_thumb1_rows

/* void tbn_thumb1_four(const uint8_t *signs, uint32_t step, const uint32_t *tables, uint32_t *packed, const uint32_t *end)
 * Adds to packed[0] and packed[1] what 16 signs at `signs` select of four tables of 16 pairs; goes on by `step` bytes and two words until
 * `end`.
 * r0 signs, r1 packed, r2 and r3 its words, r4 sixteen signs, r5 table, r6 and r7 for a while; r8 step, r9 tables, r12 end. */
    .macro tbn_pair
    adds r6, r6, r5
    ldr r7, [r6, #0]
    adds r2, r2, r7
    ldr r7, [r6, #4]
    adds r3, r3, r7
    .endm

    .section .text.tbn_thumb1_four, "ax", %progbits
    .global tbn_thumb1_four
    .type tbn_thumb1_four, %function
    .thumb_func
    .balign 4
tbn_thumb1_four:
    push {r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    mov r8, r1
    mov r9, r2
    movs r1, r3
    ldr r4, [sp, #28]
    mov r12, r4
.Lrow:
    ldrb r4, [r0, #0]
    ldrb r6, [r0, #1]
    lsls r6, r6, #8
    orrs r4, r6
    add r0, r8
    ldr r2, [r1, #0]
    ldr r3, [r1, #4]
    mov r5, r9
    lsls r6, r4, #28
    lsrs r6, r6, #25
    tbn_pair
    adds r5, #128
    lsrs r4, r4, #4
    lsls r6, r4, #28
    lsrs r6, r6, #25
    tbn_pair
    adds r5, #128
    lsrs r4, r4, #4
    lsls r6, r4, #28
    lsrs r6, r6, #25
    tbn_pair
    adds r5, #128
    lsrs r4, r4, #4
    lsls r6, r4, #3
    tbn_pair
    stmia r1!, {r2, r3}
    cmp r1, r12
    bne .Lrow
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4, r5, r6, r7, pc}
    .size tbn_thumb1_four, . - tbn_thumb1_four

#endif
#if defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
