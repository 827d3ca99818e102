/* A bidirectional RNN in C, as a program that rnndiff checks:
 *
 *     cc -O2 -o my_rnn my_rnn.c -lm
 *     rnndiff check --command ./my_rnn --model bidirectional
 *
 * Cases come on the standard input, one after the other, and an answer to each goes to the
 * standard output: see README.md. Numbers are little-endian there, as they are on most machines.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int batch, time_steps, inputs, outputs, num_units;

/* Read the header of a case. All lines but those of the sizes can be passed over, as the arrays
 * come in the same order each time. Returns 0 at the end of the input. */
static int read_header(void) {
    char line[256];
    int lines = 0;
    while (fgets(line, sizeof line, stdin) && line[0] != '\n') {
        sscanf(line, "size batch %d", &batch);
        sscanf(line, "size time %d", &time_steps);
        sscanf(line, "size inputs %d", &inputs);
        sscanf(line, "size outputs %d", &outputs);
        sscanf(line, "size num_units %d", &num_units);
        lines++;
    }
    return lines > 0;
}

/* Room for an array, of no numbers too. */
static float *new_array(size_t count) {
    float *array = calloc(count + 1, sizeof *array);
    if (!array) {
        fprintf(stderr, "my_rnn: no memory for %zu numbers\n", count);
        exit(1);
    }
    return array;
}

static float *read_array(size_t count) {
    float *array = new_array(count);
    if (fread(array, sizeof *array, count, stdin) != count) {
        fprintf(stderr, "my_rnn: the input ends in an array of %zu numbers\n", count);
        exit(1);
    }
    return array;
}

/* result = [x, h] kernel + bias; the kernel has the rows for x above those for h. */
static void affine(const float *x, int x_size, const float *h, int h_size, const float *kernel,
                   const float *bias, float *result, int size) {
    for (int j = 0; j < size; j++) {
        float sum = bias[j];
        for (int k = 0; k < x_size; k++)
            sum += x[k] * kernel[k * size + j];
        for (int k = 0; k < h_size; k++)
            sum += h[k] * kernel[(x_size + k) * size + j];
        result[j] = sum;
    }
}

/* Run a cell over the steps of one row, backwards if step is -1, and write the state after each
 * step t to states + t * stride. */
static void run(const float *x, const float *kernel, const float *bias, float *states, int stride,
                int step) {
    float *zeros = new_array(num_units);
    const float *state = zeros;
    for (int k = 0, t = step > 0 ? 0 : time_steps - 1; k < time_steps; k++, t += step) {
        float *next = states + (size_t)t * stride;
        affine(x + (size_t)t * inputs, inputs, state, num_units, kernel, bias, next, num_units);
        for (int j = 0; j < num_units; j++)
            next[j] = tanhf(next[j]);
        state = next;
    }
    free(zeros);
}

static void compute(void) {
    float *forward_kernel = read_array((size_t)(inputs + num_units) * num_units);
    float *forward_bias = read_array(num_units);
    float *backward_kernel = read_array((size_t)(inputs + num_units) * num_units);
    float *backward_bias = read_array(num_units);
    float *kernel = read_array((size_t)2 * num_units * outputs);
    float *bias = read_array(outputs);
    float *x = read_array((size_t)batch * time_steps * inputs);
    float *labels = read_array((size_t)batch * outputs); /* read, but not needed */

    int both = 2 * num_units;
    size_t row_size = (size_t)time_steps * both;
    float *states = new_array(batch * row_size);
    float *scores = new_array((size_t)batch * outputs);
    for (int row = 0; row < batch; row++) {
        const float *row_x = x + (size_t)row * time_steps * inputs;
        float *forward = states + row * row_size, *backward = forward + num_units;
        run(row_x, forward_kernel, forward_bias, forward, both, 1);
        run(row_x, backward_kernel, backward_bias, backward, both, -1);
        /* The scores are those of the outputs of the last step. */
        const float *last = forward + (size_t)(time_steps - 1) * both;
        affine(last, num_units, last + num_units, num_units, kernel, bias,
               scores + (size_t)row * outputs, outputs);
    }

    printf("array outputs float32 %d %d %d\n", batch, time_steps, both);
    printf("array scores float32 %d %d\n\n", batch, outputs);
    fwrite(states, sizeof *states, batch * row_size, stdout);
    fwrite(scores, sizeof *scores, (size_t)batch * outputs, stdout);
    fflush(stdout); /* rnndiff waits for it */

    float *all[] = {forward_kernel, forward_bias, backward_kernel, backward_bias, kernel,
                    bias,           x,            labels,          states,        scores};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        free(all[k]);
}

int main(void) {
    while (read_header())
        compute();
    return 0;
}
