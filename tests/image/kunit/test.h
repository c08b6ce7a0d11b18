/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stand-in for the kernel's <kunit/test.h>, so that the suites of tests/kunit
 * run as an ordinary program too, under sanitizers. It has the part of KUnit's
 * interface that they use, with the same meaning; see tests/image/main.c.
 */
#ifndef _KUNIT_TEST_H
#define _KUNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>

/* The kernel is built without this; suites compare what they like. */
#pragma GCC diagnostic ignored "-Wsign-compare"

#define KUNIT_PARAM_DESC_SIZE	128

enum kunit_status {
	KUNIT_SUCCESS,
	KUNIT_FAILURE,
	KUNIT_SKIPPED,
};

struct kunit_resource;

/**
 * struct kunit - a running test
 * @priv: the test's own, for its init function to set
 * @name: of the test
 * @param_value: what a case of KUNIT_CASE_PARAM() is run with
 * @param_index: how many parameters came before
 * @status: what came of it so far
 * @ready: its suite's init function has succeeded
 * @status_comment: why it was skipped
 * @resources: to be released when it ends, the newest first
 * @abort: where a failed assertion goes
 */
struct kunit {
	void *priv;
	const char *name;
	const void *param_value;
	int param_index;
	enum kunit_status status;
	bool ready;
	char status_comment[256];
	struct kunit_resource *resources;
	jmp_buf abort;
};

/* How long a case takes in the kernel; here all of them run. */
enum kunit_speed {
	KUNIT_SPEED_UNSET,
	KUNIT_SPEED_SLOW,
};

struct kunit_attributes {
	enum kunit_speed speed;
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
	const void *(*generate_params)(const void *prev, char *desc);
	struct kunit_attributes attr;
};

struct kunit_suite {
	const char name[256];
	int (*suite_init)(struct kunit_suite *suite);
	void (*suite_exit)(struct kunit_suite *suite);
	int (*init)(struct kunit *test);
	void (*exit)(struct kunit *test);
	struct kunit_case *test_cases;
};

#define KUNIT_CASE(test_name) \
	{ .run_case = (test_name), .name = #test_name }
#define KUNIT_CASE_SLOW(test_name) \
	{ .run_case = (test_name), .name = #test_name, \
	  .attr = { KUNIT_SPEED_SLOW } }
#define KUNIT_CASE_PARAM(test_name, gen_params) \
	{ .run_case = (test_name), .name = #test_name, \
	  .generate_params = (gen_params) }
#define KUNIT_CASE_PARAM_ATTR(test_name, gen_params, attributes) \
	{ .run_case = (test_name), .name = #test_name, \
	  .generate_params = (gen_params), .attr = attributes }

#define KUNIT_ARRAY_PARAM(array_name, array, get_desc)			\
	static const void *array_name##_gen_params(const void *prev,	\
						   char *desc)		\
	{								\
		void (*describe)(typeof((array)[0]) *, char *) = get_desc; \
		const void *next = (array), *end = next + sizeof(array); \
									\
		if (prev)						\
			next = prev + sizeof((array)[0]);		\
		if (next >= end)					\
			return NULL;					\
		if (describe)						\
			describe(next, desc);				\
		return next;						\
	}

void kunit_register_suite(struct kunit_suite *suite);

#define kunit_test_suites(...)						\
	static __attribute__((constructor)) void kunit_register(void)	\
	{								\
		struct kunit_suite *suites[] = { __VA_ARGS__, NULL };	\
		size_t i;						\
									\
		for (i = 0; suites[i]; i++)				\
			kunit_register_suite(suites[i]);		\
	}								\
	struct kunit_suite	/* takes the semicolon */
#define kunit_test_suite(suite)		kunit_test_suites(&(suite))

void *kunit_kmalloc_array(struct kunit *test, size_t n, size_t size, int gfp);
void *kunit_kcalloc(struct kunit *test, size_t n, size_t size, int gfp);
void kunit_kfree(struct kunit *test, const void *ptr);

#define kunit_kmalloc(test, size, gfp)	kunit_kmalloc_array(test, 1, size, gfp)
#define kunit_kzalloc(test, size, gfp)	kunit_kcalloc(test, 1, size, gfp)

typedef void kunit_action_t(void *ctx);

int kunit_add_action(struct kunit *test, kunit_action_t *action, void *ctx);
int kunit_add_action_or_reset(struct kunit *test, kunit_action_t *action,
			      void *ctx);
void kunit_release_action(struct kunit *test, kunit_action_t *action,
			  void *ctx);

/* The formats are checked where the suites are compiled for the kernel. */
void kunit_log(const char *level, struct kunit *test, const char *fmt, ...);

#define kunit_info(test, fmt, ...) \
	kunit_log("info", test, fmt, ##__VA_ARGS__)
#define kunit_warn(test, fmt, ...) \
	kunit_log("warning", test, fmt, ##__VA_ARGS__)
#define kunit_err(test, fmt, ...) \
	kunit_log("error", test, fmt, ##__VA_ARGS__)

struct kunit *kunit_set_skipped(struct kunit *test, const char *fmt, ...);
noreturn void kunit_abort(struct kunit *test);

#define kunit_mark_skipped(test, fmt, ...) \
	kunit_set_skipped(test, fmt, ##__VA_ARGS__)
#define kunit_skip(test, fmt, ...) \
	kunit_abort(kunit_set_skipped(test, fmt, ##__VA_ARGS__))

/**
 * struct kunit_place - where an expectation stands
 * @file: of the source
 * @line: in @file
 * @assertion: ends the test when it does not hold
 */
struct kunit_place {
	const char *file;
	int line;
	bool assertion;
};

void kunit_failed(struct kunit *test, const struct kunit_place *place,
		  const char *what, const char *fmt, ...);
void kunit_failed_binary(struct kunit *test, const struct kunit_place *place,
			 const char *left_text, const char *op,
			 const char *right_text, long long left,
			 long long right, const char *fmt, ...);
void kunit_failed_memory(struct kunit *test, const struct kunit_place *place,
			 const char *left_text, const char *op,
			 const char *right_text, const void *left,
			 const void *right, size_t size, const char *fmt, ...);

#define KUNIT_PLACE(is_assertion) \
	(&(const struct kunit_place){ __FILE__, __LINE__, (is_assertion) })

#define KUNIT_CHECK(test, must, cond, what, fmt, ...)			\
	do {								\
		if (!(cond))						\
			kunit_failed(test, KUNIT_PLACE(must), what,	\
				     fmt, ##__VA_ARGS__);		\
	} while (0)

#define KUNIT_CHECK_BINARY(test, must, left, op, right, fmt, ...)	\
	do {								\
		typeof(left) kunit_left = (left);			\
		typeof(right) kunit_right = (right);			\
									\
		if (!(kunit_left op kunit_right))			\
			kunit_failed_binary(test, KUNIT_PLACE(must),	\
					    #left, #op, #right,		\
					    (long long)kunit_left,	\
					    (long long)kunit_right,	\
					    fmt, ##__VA_ARGS__);	\
	} while (0)

#define KUNIT_CHECK_POINTER(test, must, left, op, right, fmt, ...)	\
	do {								\
		const void *kunit_left = (left);			\
		const void *kunit_right = (right);			\
									\
		if (!(kunit_left op kunit_right))			\
			kunit_failed_binary(test, KUNIT_PLACE(must),	\
					    #left, #op, #right,		\
					    (intptr_t)kunit_left,	\
					    (intptr_t)kunit_right,	\
					    fmt, ##__VA_ARGS__);	\
	} while (0)

#define KUNIT_CHECK_STRING(test, must, left, op, right, fmt, ...)	\
	do {								\
		const char *kunit_left = (left);			\
		const char *kunit_right = (right);			\
									\
		if (!(strcmp(kunit_left, kunit_right) op 0))		\
			kunit_failed(test, KUNIT_PLACE(must),		\
				     #left " " #op " " #right,		\
				     "\"%s\", \"%s\" " fmt, kunit_left,	\
				     kunit_right, ##__VA_ARGS__);	\
	} while (0)

#define KUNIT_CHECK_MEMORY(test, must, left, op, right, size, fmt, ...)	\
	do {								\
		const void *kunit_left = (left);			\
		const void *kunit_right = (right);			\
		size_t kunit_size = (size);				\
									\
		if (!(memcmp(kunit_left, kunit_right, kunit_size) op 0)) \
			kunit_failed_memory(test, KUNIT_PLACE(must),	\
					    #left, #op, #right,		\
					    kunit_left, kunit_right,	\
					    kunit_size, fmt,		\
					    ##__VA_ARGS__);		\
	} while (0)

/* An error pointer is one of the last 4095 addresses, as in the kernel. */
#define KUNIT_CHECK_NOT_ERR_OR_NULL(test, must, ptr, fmt, ...)		\
	do {								\
		const void *kunit_ptr = (ptr);				\
									\
		if (!kunit_ptr || (uintptr_t)kunit_ptr >= (uintptr_t)-4095) \
			kunit_failed(test, KUNIT_PLACE(must),		\
				     #ptr " is an object",		\
				     "%p " fmt, kunit_ptr,		\
				     ##__VA_ARGS__);			\
	} while (0)

#define KUNIT_SUCCEED(test)	((void)(test))
#define KUNIT_FAIL(test, fmt, ...) \
	kunit_failed(test, KUNIT_PLACE(false), "failure", fmt, ##__VA_ARGS__)
#define KUNIT_FAIL_AND_ABORT(test, fmt, ...) \
	kunit_failed(test, KUNIT_PLACE(true), "failure", fmt, ##__VA_ARGS__)

#define KUNIT_EXPECT_TRUE_MSG(test, cond, fmt, ...) \
	KUNIT_CHECK(test, false, cond, #cond " is true", fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_FALSE_MSG(test, cond, fmt, ...) \
	KUNIT_CHECK(test, false, !(cond), #cond " is false", fmt, \
		    ##__VA_ARGS__)
#define KUNIT_EXPECT_EQ_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, false, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_NE_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, false, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_LT_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, false, left, <, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_LE_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, false, left, <=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_GT_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, false, left, >, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_GE_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, false, left, >=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_NULL_MSG(test, ptr, fmt, ...) \
	KUNIT_CHECK_POINTER(test, false, ptr, ==, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_NOT_NULL_MSG(test, ptr, fmt, ...) \
	KUNIT_CHECK_POINTER(test, false, ptr, !=, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_PTR_EQ_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_POINTER(test, false, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_PTR_NE_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_POINTER(test, false, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_STREQ_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_STRING(test, false, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_STRNEQ_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_STRING(test, false, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_EXPECT_MEMEQ_MSG(test, left, right, size, fmt, ...) \
	KUNIT_CHECK_MEMORY(test, false, left, ==, right, size, fmt, \
			   ##__VA_ARGS__)
#define KUNIT_EXPECT_MEMNEQ_MSG(test, left, right, size, fmt, ...) \
	KUNIT_CHECK_MEMORY(test, false, left, !=, right, size, fmt, \
			   ##__VA_ARGS__)
#define KUNIT_EXPECT_NOT_ERR_OR_NULL_MSG(test, ptr, fmt, ...) \
	KUNIT_CHECK_NOT_ERR_OR_NULL(test, false, ptr, fmt, ##__VA_ARGS__)

#define KUNIT_ASSERT_TRUE_MSG(test, cond, fmt, ...) \
	KUNIT_CHECK(test, true, cond, #cond " is true", fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_FALSE_MSG(test, cond, fmt, ...) \
	KUNIT_CHECK(test, true, !(cond), #cond " is false", fmt, \
		    ##__VA_ARGS__)
#define KUNIT_ASSERT_EQ_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, true, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_NE_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, true, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_LT_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, true, left, <, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_LE_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, true, left, <=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_GT_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, true, left, >, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_GE_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_BINARY(test, true, left, >=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_NULL_MSG(test, ptr, fmt, ...) \
	KUNIT_CHECK_POINTER(test, true, ptr, ==, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_NOT_NULL_MSG(test, ptr, fmt, ...) \
	KUNIT_CHECK_POINTER(test, true, ptr, !=, NULL, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_PTR_EQ_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_POINTER(test, true, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_PTR_NE_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_POINTER(test, true, left, !=, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_STREQ_MSG(test, left, right, fmt, ...) \
	KUNIT_CHECK_STRING(test, true, left, ==, right, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_MEMEQ_MSG(test, left, right, size, fmt, ...) \
	KUNIT_CHECK_MEMORY(test, true, left, ==, right, size, fmt, \
			   ##__VA_ARGS__)
#define KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, ptr, fmt, ...) \
	KUNIT_CHECK_NOT_ERR_OR_NULL(test, true, ptr, fmt, ##__VA_ARGS__)

#define KUNIT_NO_MSG		" "

#define KUNIT_EXPECT_TRUE(test, cond) \
	KUNIT_EXPECT_TRUE_MSG(test, cond, KUNIT_NO_MSG)
#define KUNIT_EXPECT_FALSE(test, cond) \
	KUNIT_EXPECT_FALSE_MSG(test, cond, KUNIT_NO_MSG)
#define KUNIT_EXPECT_EQ(test, left, right) \
	KUNIT_EXPECT_EQ_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_NE(test, left, right) \
	KUNIT_EXPECT_NE_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_LT(test, left, right) \
	KUNIT_EXPECT_LT_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_LE(test, left, right) \
	KUNIT_EXPECT_LE_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_GT(test, left, right) \
	KUNIT_EXPECT_GT_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_GE(test, left, right) \
	KUNIT_EXPECT_GE_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_NULL(test, ptr) \
	KUNIT_EXPECT_NULL_MSG(test, ptr, KUNIT_NO_MSG)
#define KUNIT_EXPECT_NOT_NULL(test, ptr) \
	KUNIT_EXPECT_NOT_NULL_MSG(test, ptr, KUNIT_NO_MSG)
#define KUNIT_EXPECT_PTR_EQ(test, left, right) \
	KUNIT_EXPECT_PTR_EQ_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_PTR_NE(test, left, right) \
	KUNIT_EXPECT_PTR_NE_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_STREQ(test, left, right) \
	KUNIT_EXPECT_STREQ_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_STRNEQ(test, left, right) \
	KUNIT_EXPECT_STRNEQ_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_EXPECT_MEMEQ(test, left, right, size) \
	KUNIT_EXPECT_MEMEQ_MSG(test, left, right, size, KUNIT_NO_MSG)
#define KUNIT_EXPECT_MEMNEQ(test, left, right, size) \
	KUNIT_EXPECT_MEMNEQ_MSG(test, left, right, size, KUNIT_NO_MSG)
#define KUNIT_EXPECT_NOT_ERR_OR_NULL(test, ptr) \
	KUNIT_EXPECT_NOT_ERR_OR_NULL_MSG(test, ptr, KUNIT_NO_MSG)

#define KUNIT_ASSERT_TRUE(test, cond) \
	KUNIT_ASSERT_TRUE_MSG(test, cond, KUNIT_NO_MSG)
#define KUNIT_ASSERT_FALSE(test, cond) \
	KUNIT_ASSERT_FALSE_MSG(test, cond, KUNIT_NO_MSG)
#define KUNIT_ASSERT_EQ(test, left, right) \
	KUNIT_ASSERT_EQ_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_NE(test, left, right) \
	KUNIT_ASSERT_NE_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_LT(test, left, right) \
	KUNIT_ASSERT_LT_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_LE(test, left, right) \
	KUNIT_ASSERT_LE_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_GT(test, left, right) \
	KUNIT_ASSERT_GT_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_GE(test, left, right) \
	KUNIT_ASSERT_GE_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_NULL(test, ptr) \
	KUNIT_ASSERT_NULL_MSG(test, ptr, KUNIT_NO_MSG)
#define KUNIT_ASSERT_NOT_NULL(test, ptr) \
	KUNIT_ASSERT_NOT_NULL_MSG(test, ptr, KUNIT_NO_MSG)
#define KUNIT_ASSERT_PTR_EQ(test, left, right) \
	KUNIT_ASSERT_PTR_EQ_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_PTR_NE(test, left, right) \
	KUNIT_ASSERT_PTR_NE_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_STREQ(test, left, right) \
	KUNIT_ASSERT_STREQ_MSG(test, left, right, KUNIT_NO_MSG)
#define KUNIT_ASSERT_MEMEQ(test, left, right, size) \
	KUNIT_ASSERT_MEMEQ_MSG(test, left, right, size, KUNIT_NO_MSG)
#define KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ptr) \
	KUNIT_ASSERT_NOT_ERR_OR_NULL_MSG(test, ptr, KUNIT_NO_MSG)

#endif
