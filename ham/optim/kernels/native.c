/* The one-pass kernel of CPUs. ham_step takes the base step and then the HAM step; it reads each
 * value once and writes it once. With `check` it first checks the gradients for NaN and infinity,
 * and skips each tensor whose gradient holds one. ham_finite makes this check alone.
 *
 * The caller (native.py) passes a table with one `struct entry` per tensor; tensor_table.py
 * defines the fields and the coefficients. Without a base step, `first` holds the signs of the
 * previous weights for HYP, and is null for HYP*.
 *
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

/* finite starts as 1; the check sets it to 0 where the gradient holds NaN or infinity. */
struct entry {
    void *theta, *grad, *first, *second;
    int64_t count, dtype, finite;
    double coefficient[COEFFICIENTS];
};

/* Elements per unit of parallel work: its two to four arrays fit into the cache of one core. */
#define CHUNK 16384

/* Gradient elements that are checked before the step reads them again. They must be few enough to
 * stay in the cache that the cores share: then the step does not read them from memory again. */
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

static inline float read_bfloat16(uint16_t stored) {
    uint32_t bits = (uint32_t)stored << 16;
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
        const struct entry *entry, int64_t from, int64_t to, enum base base, int previous,        \
        int momentum) {                                                                           \
        STORED *restrict theta = entry->theta, *restrict first = entry->first;                    \
        STORED *restrict second = entry->second;                                                  \
        const STORED *restrict grad = entry->grad;                                                \
        REAL c[COEFFICIENTS];                                                                     \
        for (int i = 0; i < COEFFICIENTS; i++) c[i] = (REAL)entry->coefficient[i];                \
        const REAL lr_alpha = c[LR] * c[ALPHA] * c[GRAD_SIGN], lr_beta = c[LR] * c[BETA];         \
        for (int64_t i = from; i < to; i++) {                                                     \
            const REAL before = READ(theta[i]), raw = READ(grad[i]);                              \
            REAL theta_half = before;                                                             \
            if (base == SGD) {                                                                    \
                REAL d = c[GRAD_SIGN] * raw + c[COUPLED_DECAY] * before;                          \
                if (momentum) {                                                                   \
                    const REAL velocity = c[FIRST_KEEP] * READ(first[i]) + c[FIRST_TAKE] * d;     \
                    first[i] = WRITE(velocity);                                                   \
                    d = c[NESTEROV] * d + (c[NESTEROV] * (c[FIRST_KEEP] - 1) + 1) * velocity;     \
                }                                                                                 \
                theta_half = before - c[LR] * d;                                                  \
            }                                                                                     \
            if (base == ADAM) {                                                                   \
                const REAL d = c[GRAD_SIGN] * raw + c[COUPLED_DECAY] * before;                    \
                const REAL m = c[FIRST_KEEP] * READ(first[i]) + c[FIRST_TAKE] * d;                \
                const REAL v = c[SECOND_KEEP] * READ(second[i]) + (1 - c[SECOND_KEEP]) * d * d;   \
                first[i] = WRITE(m);                                                              \
                second[i] = WRITE(v);                                                             \
                theta_half = before - c[LR] * c[DECOUPLED_DECAY] * before                         \
                       - c[STEP_SIZE] * m / (SQRT(v) * c[SECOND_SCALE] + c[EPS]);                 \
            }                                                                                     \
            const REAL sign_source =                                                              \
                !previous ? theta_half : base == NONE ? READ(first[i]) : before;                  \
            const REAL pull = lr_alpha * raw;                                                     \
            REAL exponent =                                                                       \
                (sign_source > 0 ? -pull : previous && sign_source == 0 ? 0 : pull) - lr_beta;    \
            exponent = exponent < -c[MAX_EXPONENT] ? -c[MAX_EXPONENT] : exponent;                 \
            exponent = exponent > c[MAX_EXPONENT] ? c[MAX_EXPONENT] : exponent;                   \
            const REAL updated = READ(WRITE(theta_half * EXP(exponent)));                         \
            theta[i] = WRITE(updated - updated == 0 ? updated : theta_half);                      \
        }                                                                                         \
    }

DEFINE_UPDATE(update_float, float, float, exponential_float, sqrtf, IDENTITY, IDENTITY)
DEFINE_UPDATE(update_double, double, double, exp, sqrt, IDENTITY, IDENTITY)
DEFINE_UPDATE(update_bfloat16, uint16_t, float, exponential_float, sqrtf, read_bfloat16,
              write_bfloat16)

/* The arguments that select code are constants at each call, so each choice has its own loop. A
 * branch inside the loop would keep some compilers from vectorizing it. */
#define BY_BASE(UPDATE, previous)                                                                 \
    switch (base) {                                                                               \
    case NONE: UPDATE(entry, from, to, NONE, previous, 0); break;                                 \
    case ADAM: UPDATE(entry, from, to, ADAM, previous, 1); break;                                 \
    case SGD:                                                                                     \
        if (entry->first) UPDATE(entry, from, to, SGD, previous, 1);                              \
        else UPDATE(entry, from, to, SGD, previous, 0);                                           \
    }
#define BY_SIGN(UPDATE)                                                                           \
    if (entry->coefficient[SIGN_PREVIOUS] != 0) { BY_BASE(UPDATE, 1) } else { BY_BASE(UPDATE, 0) }

static void update(const struct entry *entry, int64_t from, int64_t to, enum base base) {
    switch (entry->dtype) {
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

static int is_finite(const struct entry *entry, int64_t from, int64_t to) {
    switch (entry->dtype) {
    case FLOAT32: return finite_float(entry->grad, from, to);
    case FLOAT64: return finite_double(entry->grad, from, to);
    case BFLOAT16: return finite_bfloat16(entry->grad, from, to);
    }
    return 0;
}

static int64_t end_of_chunk(const struct entry *entry, int64_t from) {
    return from + CHUNK < entry->count ? from + CHUNK : entry->count;
}

/* Set `finite` of the entries first .. last - 1. Every thread of the parallel region calls this
 * function, and the threads share the chunks. */
static void check_gradients(struct entry *entries, int64_t first, int64_t last) {
    for (int64_t e = first; e < last; e++) {
        #pragma omp for schedule(dynamic) nowait
        for (int64_t from = 0; from < entries[e].count; from += CHUNK) {
            if (!is_finite(&entries[e], from, end_of_chunk(&entries[e], from))) {
                #pragma omp atomic write
                entries[e].finite = 0;
            }
        }
    }
}

/* Take the step of the finite entries among first .. last - 1; threads as in check_gradients. */
static void update_entries(const struct entry *entries, int64_t first, int64_t last,
                           enum base base) {
    for (int64_t e = first; e < last; e++) {
        if (!entries[e].finite) continue;
        #pragma omp for schedule(dynamic) nowait
        for (int64_t from = 0; from < entries[e].count; from += CHUNK)
            update(&entries[e], from, end_of_chunk(&entries[e], from), base);
    }
}

/* Return the end of the window that begins at entry `first`: it has at least one entry, and
 * more as long as all have at most WINDOW elements together. */
static int64_t end_of_window(const struct entry *entries, int64_t first, int64_t count) {
    int64_t last = first + 1;
    for (int64_t elements = entries[first].count; last < count; last++) {
        elements += entries[last].count;
        if (elements > WINDOW) break;
    }
    return last;
}

void ham_finite(struct entry *entries, int64_t count, int threads) {
    #pragma omp parallel num_threads(threads)
    check_gradients(entries, 0, count);
}

void ham_step(struct entry *entries, int64_t count, int base, int check, int threads) {
    #pragma omp parallel num_threads(threads)
    for (int64_t first = 0, last; first < count; first = last) {
        last = check ? end_of_window(entries, first, count) : count;
        if (check) {
            check_gradients(entries, first, last);
            #pragma omp barrier
        }
        update_entries(entries, first, last, base);
    }
}
