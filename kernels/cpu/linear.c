/* Tiled linear layer on a CPU: the distinct rows multiplied once (lut.h says how) and written once a copy, with scale, bias and ReLU.
 * Working memory: 53 KB of stack. */
#include "lut.h"

enum {
    STEP_WORDS = 32,  /* words of a row whose tables are alive at a time: 16 KB an input, so that they stay in the first cache */
    STEP_BLOCKS = 128 /* blocks whose sums are alive at a time: 8 KB an input */
};

typedef struct { /* the working memory of one call */
    float x[STEP_WORDS * CHUNK];
    float tables[INPUTS][STEP_WORDS * TABLES];
    float z[INPUTS][STEP_BLOCKS * LANES];
    tbn_step steps[STEP_WORDS];
} tbn_work TBN_ALIGNED;

/* Sums of some blocks for some inputs, x (inputs, columns), into work->z. */
static void linear_sums(const tbn_lut *lut, const float *x, int inputs, const uint32_t *codes, int64_t blocks, int64_t columns, tbn_work *work)
{
    const int64_t words = (columns + CHUNK - 1) / CHUNK;
    const float *const tables[INPUTS] = {work->tables[0], work->tables[1]};
    float *const z[INPUTS] = {work->z[0], work->z[1]};
    for (int i = 0; i < inputs; i++)
        memset(z[i], 0, (size_t)(blocks * LANES) * sizeof(float));
    for (int64_t word = 0; word < words; word += STEP_WORDS) {
        const int64_t count = words - word < STEP_WORDS ? words - word : STEP_WORDS;
        const int64_t left = columns - word * CHUNK, there = left < count * CHUNK ? left : count * CHUNK;
        for (int i = 0; i < inputs; i++) {
            memcpy(work->x, x + i * columns + word * CHUNK, (size_t)there * sizeof(float));
            memset(work->x + there, 0, (size_t)(count * CHUNK - there) * sizeof(float));
            lut->tables(work->x, 1, 4, count * GROUPS, work->tables[i], LANES);
        }
        lut->multiply(codes + word * LANES, words * LANES, blocks, work->steps, count, inputs, tables, z);
    }
}

/* x: (batch, columns); codes: (ceil(rows / 16), ceil(columns / 32), 16); scale: (copies), or (copies * rows) where `each`; bias: (copies * rows)
 * or NULL; out: (batch, copies * rows). Does the blocks [block_start, block_stop) of the inputs [batch_start, batch_stop). */
TBN_EXPORT void tbn_cpu_linear(const tbn_lut *lut, const float *x, const uint32_t *codes, const float *scale, const float *bias, float *out,
                               int64_t columns, int64_t rows, int64_t copies, int64_t each, int64_t relu, int64_t batch_start,
                               int64_t batch_stop, int64_t block_start, int64_t block_stop)
{
    tbn_work work;
    const int64_t words = (columns + CHUNK - 1) / CHUNK;
    for (int32_t word = 0; word < STEP_WORDS; word++)
        work.steps[word] = (tbn_step){word, word * TABLES};
    for (int64_t block = block_start; block < block_stop; block += STEP_BLOCKS) {
        const int64_t blocks = block_stop - block < STEP_BLOCKS ? block_stop - block : STEP_BLOCKS;
        const int64_t first = block * LANES, count = rows - first < blocks * LANES ? rows - first : blocks * LANES;
        for (int64_t input = batch_start; input < batch_stop; input += INPUTS) {
            const int inputs = batch_stop - input < INPUTS ? 1 : INPUTS;
            linear_sums(lut, x + input * columns, inputs, codes + block * words * LANES, blocks, columns, &work);
            for (int i = 0; i < inputs; i++)
                for (int64_t copy = 0; copy < copies; copy++) {
                    const int64_t output = copy * rows + first;
                    lut->finish(work.z[i], count, scale + (each ? output : copy), (int)each, bias ? bias + output : NULL, 1, (int)relu,
                                out + (input + i) * copies * rows + output);
                }
        }
    }
}
