/* One pass over every tensor: the base's step, then HAM's, each value read once and written once
 * (ham_step), after a look at the gradients for NaN and infinity where the caller asks for it; and
 * that look alone (ham_finite).
 *
 * The caller (native.py) fills one `struct task` per tensor; tables.py names the coefficients.
 * Without a base step, `first` holds the signs of the previous weights where HYP asks for them.
 * Elements are independent, so the result does not depend on the number of threads.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum base { NONE = 0, SGD = 1, ADAM = 2 };
enum dtype { FLOAT32 = 0, FLOAT64 = 1, BFLOAT16 = 2 };
enum {
    LR, ALPHA, BETA, MAX_EXPONENT, SIGN_PREVIOUS, GRAD_SIGN, COUPLED_DECAY, DECOUPLED_DECAY,
    FIRST_KEEP, FIRST_TAKE, NESTEROV, SECOND_KEEP, STEP_SIZE, SECOND_SCALE, EPS, COEFFICIENTS
};

/* finite starts as 1 and becomes 0 where a gradient that is looked at holds NaN or infinity. */
struct task {
    void *theta, *grad, *first, *second;
    int64_t count, dtype, finite;
    double coefficient[COEFFICIENTS];
};

/* Elements per unit of parallel work: its three or four arrays stay inside a core's cache. */
#define CHUNK 16384

/* Gradient elements that are looked at before the step reads them again: few enough that they
 * still are in the cache that the cores share, so that the look costs no second trip to memory. */
#define WINDOW (1 << 20)

/* exp for |x| <= 80, without branches so that the compiler vectorizes it:
 * exp(x) = 2^k exp(r) with |r| <= log(2)/2, exp(r) by its Taylor series. */
static inline float exponential_float(float x) {
    float k = rintf(x * 1.44269504f);
    float r = fmaf(k, -0.693145752f, x);
    r = fmaf(k, -1.42860677e-6f, r);
    float p = 1.0f / 5040;
    p = fmaf(p, r, 1.0f / 720);
    p = fmaf(p, r, 1.0f / 120);
    p = fmaf(p, r, 1.0f / 24);
    p = fmaf(p, r, 1.0f / 6);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    int32_t bits = ((int32_t)k + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static inline float read_bfloat16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Round to nearest even; a NaN stays a NaN. */
static inline uint16_t write_bfloat16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return value != value ? 0x7fc0 : (uint16_t)rounded;
}

#define IDENTITY(x) (x)

#define DEFINE_UPDATE(NAME, STORED, REAL, EXP, SQRT, READ, WRITE)                                 \
    static inline __attribute__((always_inline)) void NAME(                                       \
        const struct task *task, int64_t from, int64_t to, enum base base, int previous,         \
        int momentum) {                                                                          \
        STORED *restrict theta = task->theta, *restrict first = task->first;                      \
        STORED *restrict second = task->second;                                                   \
        const STORED *restrict grad = task->grad;                                                 \
        REAL c[COEFFICIENTS];                                                                     \
        for (int i = 0; i < COEFFICIENTS; i++) c[i] = (REAL)task->coefficient[i];                 \
        const REAL pull = c[LR] * c[ALPHA] * c[GRAD_SIGN], shrink = c[LR] * c[BETA];              \
        for (int64_t i = from; i < to; i++) {                                                     \
            const REAL before = READ(theta[i]), raw = READ(grad[i]);                              \
            REAL half = before;                                                                   \
            if (base == SGD) {                                                                    \
                REAL d = c[GRAD_SIGN] * raw + c[COUPLED_DECAY] * before;                          \
                if (momentum) {                                                                   \
                    const REAL velocity = c[FIRST_KEEP] * READ(first[i]) + c[FIRST_TAKE] * d;     \
                    first[i] = WRITE(velocity);                                                   \
                    d = c[NESTEROV] * d + (c[NESTEROV] * (c[FIRST_KEEP] - 1) + 1) * velocity;     \
                }                                                                                 \
                half = before - c[LR] * d;                                                        \
            }                                                                                     \
            if (base == ADAM) {                                                                   \
                const REAL d = c[GRAD_SIGN] * raw + c[COUPLED_DECAY] * before;                    \
                const REAL m = c[FIRST_KEEP] * READ(first[i]) + c[FIRST_TAKE] * d;                \
                const REAL v = c[SECOND_KEEP] * READ(second[i]) + (1 - c[SECOND_KEEP]) * d * d;   \
                first[i] = WRITE(m);                                                              \
                second[i] = WRITE(v);                                                             \
                half = before - c[LR] * c[DECOUPLED_DECAY] * before                               \
                       - c[STEP_SIZE] * m / (SQRT(v) * c[SECOND_SCALE] + c[EPS]);                 \
            }                                                                                     \
            const REAL signs_of =                                                                 \
                !previous ? half : base == NONE ? READ(first[i]) : before;                        \
            const REAL push = pull * raw;                                                         \
            REAL exponent =                                                                       \
                (signs_of > 0 ? -push : previous && signs_of == 0 ? 0 : push) - shrink;           \
            exponent = exponent < -c[MAX_EXPONENT] ? -c[MAX_EXPONENT] : exponent;                 \
            exponent = exponent > c[MAX_EXPONENT] ? c[MAX_EXPONENT] : exponent;                   \
            const REAL moved = READ(WRITE(half * EXP(exponent)));                                 \
            theta[i] = WRITE(moved - moved == 0 ? moved : half);                                  \
        }                                                                                         \
    }

DEFINE_UPDATE(update_float, float, float, exponential_float, sqrtf, IDENTITY, IDENTITY)
DEFINE_UPDATE(update_double, double, double, exp, sqrt, IDENTITY, IDENTITY)
DEFINE_UPDATE(update_bfloat16, uint16_t, float, exponential_float, sqrtf, read_bfloat16,
              write_bfloat16)

/* The arguments that select code are constants at each call, so each gets its own loop: a branch
 * inside the loop would keep some compilers from vectorizing it. */
#define BY_BASE(UPDATE, previous)                                                                 \
    switch (base) {                                                                               \
    case NONE: UPDATE(task, from, to, NONE, previous, 0); break;                                  \
    case ADAM: UPDATE(task, from, to, ADAM, previous, 1); break;                                  \
    case SGD:                                                                                     \
        if (task->first) UPDATE(task, from, to, SGD, previous, 1);                                \
        else UPDATE(task, from, to, SGD, previous, 0);                                            \
    }
#define BY_SIGN(UPDATE)                                                                           \
    if (task->coefficient[SIGN_PREVIOUS] != 0) { BY_BASE(UPDATE, 1) } else { BY_BASE(UPDATE, 0) }

static void update(const struct task *task, int64_t from, int64_t to, enum base base) {
    switch (task->dtype) {
    case FLOAT32: BY_SIGN(update_float) break;
    case FLOAT64: BY_SIGN(update_double) break;
    case BFLOAT16: BY_SIGN(update_bfloat16) break;
    }
}

/* NaN and infinity have exponent bits that are all ones; bits, unlike a sum, cannot overflow. */
#define DEFINE_FINITE(NAME, BITS, EXPONENT)                                                       \
    static int NAME(const BITS *value, int64_t from, int64_t to) {                                \
        BITS found = 0;                                                                           \
        for (int64_t i = from; i < to; i++) found |= (value[i] & EXPONENT) == EXPONENT;           \
        return !found;                                                                            \
    }

DEFINE_FINITE(finite_float, uint32_t, UINT32_C(0x7f800000))
DEFINE_FINITE(finite_double, uint64_t, UINT64_C(0x7ff0000000000000))
DEFINE_FINITE(finite_bfloat16, uint16_t, 0x7f80)

static int is_finite(const struct task *task, int64_t from, int64_t to) {
    switch (task->dtype) {
    case FLOAT32: return finite_float(task->grad, from, to);
    case FLOAT64: return finite_double(task->grad, from, to);
    case BFLOAT16: return finite_bfloat16(task->grad, from, to);
    }
    return 0;
}

static int64_t end_of_chunk(const struct task *task, int64_t from) {
    return from + CHUNK < task->count ? from + CHUNK : task->count;
}

/* Called by every thread of a team; the chunks are shared out among them. */
static void look(struct task *tasks, int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++) {
        #pragma omp for schedule(dynamic) nowait
        for (int64_t from = 0; from < tasks[t].count; from += CHUNK) {
            if (!is_finite(&tasks[t], from, end_of_chunk(&tasks[t], from))) {
                #pragma omp atomic write
                tasks[t].finite = 0;
            }
        }
    }
}

/* Called by every thread of a team. */
static void move(const struct task *tasks, int64_t first, int64_t last, enum base base) {
    for (int64_t t = first; t < last; t++) {
        if (!tasks[t].finite) continue;
        #pragma omp for schedule(dynamic) nowait
        for (int64_t from = 0; from < tasks[t].count; from += CHUNK)
            update(&tasks[t], from, end_of_chunk(&tasks[t], from), base);
    }
}

static int64_t end_of_window(const struct task *tasks, int64_t first, int64_t count) {
    int64_t last = first + 1;
    for (int64_t elements = tasks[first].count; last < count; last++) {
        elements += tasks[last].count;
        if (elements > WINDOW) break;
    }
    return last;
}

void ham_finite(struct task *tasks, int64_t count, int threads) {
    #pragma omp parallel num_threads(threads)
    look(tasks, 0, count);
}

void ham_step(struct task *tasks, int64_t count, int base, int check, int threads) {
    #pragma omp parallel num_threads(threads)
    for (int64_t first = 0, last; first < count; first = last) {
        last = check ? end_of_window(tasks, first, count) : count;
        if (check) {
            look(tasks, first, last);
            #pragma omp barrier
        }
        move(tasks, first, last, base);
    }
}
