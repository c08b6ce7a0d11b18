// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the KUnit suites of tests/kunit in userspace and prints KTAP, nested
 * like the kernel's: suites, cases, parameters. A case that leaks memory fails.
 *
 * unit [-l] [-q] [PATTERN]: -l lists; -q lets each 13th operation of a file fail
 * where it is all of them else; PATTERN chooses "suite" or "suite.case", with the
 * shell's wildcards.
 */
#include <fnmatch.h>
#include <unistd.h>

#include "unit_alloc.h"
#include "kunit/test.h"
#include "../kunit/guest.h"

#define MAX_SUITES	64

static struct kunit_suite *suites[MAX_SUITES];
static int nr_suites;

/**
 * struct kunit_resource - an action for the end of a test
 * @next: the one added before
 * @action: to be called
 * @ctx: with this
 */
struct kunit_resource {
	struct kunit_resource *next;
	kunit_action_t *action;
	void *ctx;
};

struct totals {
	int passed;
	int failed;
	int skipped;
};

/* Called by what kunit_test_suites() leaves, before main(). */
void kunit_register_suite(struct kunit_suite *suite)
{
	if (nr_suites == MAX_SUITES) {
		fprintf(stderr, "unit: more than %d suites\n", MAX_SUITES);
		exit(1);
	}
	suites[nr_suites++] = suite;
}

/* As in the kernel; out of memory is a failure of the test. */
int kunit_add_action(struct kunit *test, kunit_action_t *action, void *ctx)
{
	struct kunit_resource *res = malloc(sizeof(*res));

	if (!res) {
		fprintf(stderr, "unit: out of memory\n");
		exit(1);
	}
	res->action = action;
	res->ctx = ctx;
	res->next = test->resources;
	test->resources = res;
	return 0;
}

int kunit_add_action_or_reset(struct kunit *test, kunit_action_t *action,
			      void *ctx)
{
	return kunit_add_action(test, action, ctx);
}

void kunit_release_action(struct kunit *test, kunit_action_t *action,
			  void *ctx)
{
	struct kunit_resource **link, *res;

	for (link = &test->resources; *link; link = &(*link)->next) {
		res = *link;
		if (res->action != action || res->ctx != ctx)
			continue;
		*link = res->next;
		free(res);
		action(ctx);
		return;
	}
}

void *kunit_kcalloc(struct kunit *test, size_t n, size_t size, int gfp)
{
	void *ptr = calloc(n, size);

	(void)gfp;
	if (ptr)
		kunit_add_action(test, free, ptr);
	return ptr;
}

void *kunit_kmalloc_array(struct kunit *test, size_t n, size_t size, int gfp)
{
	void *ptr = size && n > SIZE_MAX / size ? NULL : malloc(n * size);

	(void)gfp;
	if (ptr)
		kunit_add_action(test, free, ptr);
	return ptr;
}

void kunit_kfree(struct kunit *test, const void *ptr)
{
	if (ptr)
		kunit_release_action(test, free, (void *)ptr);
}

void kunit_log(const char *level, struct kunit *test, const char *fmt, ...)
{
	va_list args;

	printf("    # %s: %s: ", test->name, level);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

struct kunit *kunit_set_skipped(struct kunit *test, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(test->status_comment, sizeof(test->status_comment), fmt,
		  args);
	va_end(args);
	test->status = KUNIT_SKIPPED;
	return test;
}

void kunit_abort(struct kunit *test)
{
	longjmp(test->abort, 1);
}

static void failed(struct kunit *test, const struct kunit_place *place,
		   const char *fmt, va_list args)
{
	printf("        ");
	vprintf(fmt, args);
	putchar('\n');
	test->status = KUNIT_FAILURE;
	if (place->assertion)
		kunit_abort(test);
}

static void print_place(struct kunit *test, const struct kunit_place *place)
{
	printf("    # %s: %s FAILED at %s:%d\n", test->name,
	       place->assertion ? "ASSERTION" : "EXPECTATION", place->file,
	       place->line);
}

/* The next three report what did not hold; an assertion does not return. */
void kunit_failed(struct kunit *test, const struct kunit_place *place,
		  const char *what, const char *fmt, ...)
{
	va_list args;

	print_place(test, place);
	printf("        expected: %s\n", what);
	va_start(args, fmt);
	failed(test, place, fmt, args);
	va_end(args);
}

void kunit_failed_binary(struct kunit *test, const struct kunit_place *place,
			 const char *left_text, const char *op,
			 const char *right_text, long long left,
			 long long right, const char *fmt, ...)
{
	va_list args;

	print_place(test, place);
	printf("        expected: %s %s %s\n", left_text, op, right_text);
	printf("        %s == %lld (0x%llx)\n", left_text, left, left);
	printf("        %s == %lld (0x%llx)\n", right_text, right, right);
	va_start(args, fmt);
	failed(test, place, fmt, args);
	va_end(args);
}

void kunit_failed_memory(struct kunit *test, const struct kunit_place *place,
			 const char *left_text, const char *op,
			 const char *right_text, const void *left,
			 const void *right, size_t size, const char *fmt, ...)
{
	const unsigned char *l = left, *r = right;
	va_list args;
	size_t i = 0;

	while (i < size && l[i] == r[i])
		i++;
	print_place(test, place);
	printf("        expected: %s %s %s, %zu bytes\n", left_text, op,
	       right_text, size);
	if (i < size)
		printf("        first difference at byte %zu: %02x, %02x\n", i,
		       l[i], r[i]);
	va_start(args, fmt);
	failed(test, place, fmt, args);
	va_end(args);
}

static void run_once(struct kunit_suite *suite, struct kunit_case *kcase,
		     struct kunit *test)
{
	const long before = alloc_outstanding();
	struct kunit_resource *res;

	if (!setjmp(test->abort)) {
		if (suite->init && suite->init(test)) {
			printf("    # %s: failed to initialize\n", test->name);
			test->status = KUNIT_FAILURE;
		} else {
			test->ready = true;
			kcase->run_case(test);
		}
	}
	if ((test->ready || test->status != KUNIT_SUCCESS) && suite->exit &&
	    !setjmp(test->abort))
		suite->exit(test);
	while ((res = test->resources)) {
		test->resources = res->next;
		res->action(res->ctx);
		free(res);
	}
	if (alloc_outstanding() != before) {
		printf("    # %s: leaked %ld pieces of memory\n", test->name,
		       alloc_outstanding() - before);
		test->status = KUNIT_FAILURE;
	}
}

static void print_result(const char *indent, const struct kunit *test,
			 int number, const char *name)
{
	printf("%s%s %d %s", indent,
	       test->status == KUNIT_FAILURE ? "not ok" : "ok", number, name);
	if (test->status == KUNIT_SKIPPED)
		printf(" # SKIP %s", test->status_comment);
	putchar('\n');
	fflush(stdout);
}

static void count(struct totals *totals, const struct kunit *test)
{
	if (test->status == KUNIT_FAILURE)
		totals->failed++;
	else if (test->status == KUNIT_SKIPPED)
		totals->skipped++;
	else
		totals->passed++;
}

static void run_case(struct kunit_suite *suite, struct kunit_case *kcase,
		     int number, struct totals *totals)
{
	struct kunit whole = { .name = kcase->name, .status = KUNIT_SKIPPED };
	char desc[KUNIT_PARAM_DESC_SIZE];
	const void *param = NULL;
	int i = 0;

	if (!kcase->generate_params) {
		whole.status = KUNIT_SUCCESS;
		run_once(suite, kcase, &whole);
		count(totals, &whole);
		print_result("    ", &whole, number, kcase->name);
		return;
	}
	printf("        KTAP version 1\n        # Subtest: %s\n", kcase->name);
	for (;;) {
		struct kunit test = { .name = kcase->name };

		desc[0] = '\0';
		param = kcase->generate_params(param, desc);
		if (!param)
			break;
		if (!desc[0])
			snprintf(desc, sizeof(desc), "param-%d", i);
		test.param_value = param;
		test.param_index = i++;
		run_once(suite, kcase, &test);
		count(totals, &test);
		print_result("        ", &test, i, desc);
		if (test.status == KUNIT_FAILURE)
			whole.status = KUNIT_FAILURE;
		else if (test.status == KUNIT_SUCCESS &&
			 whole.status == KUNIT_SKIPPED)
			whole.status = KUNIT_SUCCESS;
	}
	print_result("    ", &whole, number, kcase->name);
}

static bool chosen(const char *pattern, const struct kunit_suite *suite,
		   const struct kunit_case *kcase)
{
	char name[512];

	if (!pattern || !fnmatch(pattern, suite->name, 0))
		return true;
	snprintf(name, sizeof(name), "%s.%s", suite->name, kcase->name);
	return !fnmatch(pattern, name, 0);
}

static int count_cases(const char *pattern, struct kunit_suite *suite)
{
	struct kunit_case *kcase;
	int n = 0;

	for (kcase = suite->test_cases; kcase->run_case; kcase++)
		n += chosen(pattern, suite, kcase);
	return n;
}

static void run_suite(struct kunit_suite *suite, const char *pattern,
		      int number, struct totals *totals)
{
	struct totals own = { 0 };
	struct kunit_case *kcase;
	int i = 0;

	printf("    KTAP version 1\n    # Subtest: %s\n    1..%d\n",
	       suite->name, count_cases(pattern, suite));
	if (suite->suite_init && suite->suite_init(suite)) {
		printf("    # %s: failed to initialize\n", suite->name);
		own.failed++;
	} else {
		for (kcase = suite->test_cases; kcase->run_case; kcase++)
			if (chosen(pattern, suite, kcase))
				run_case(suite, kcase, ++i, &own);
		if (suite->suite_exit)
			suite->suite_exit(suite);
	}
	printf("# %s: pass:%d fail:%d skip:%d total:%d\n", suite->name,
	       own.passed, own.failed, own.skipped,
	       own.passed + own.failed + own.skipped);
	printf("%s %d %s\n", own.failed ? "not ok" : "ok", number,
	       suite->name);
	totals->passed += own.passed;
	totals->failed += own.failed;
	totals->skipped += own.skipped;
}

static void list(const char *pattern)
{
	struct kunit_case *kcase;
	int i;

	for (i = 0; i < nr_suites; i++)
		for (kcase = suites[i]->test_cases; kcase->run_case; kcase++)
			if (chosen(pattern, suites[i], kcase))
				printf("%s.%s\n", suites[i]->name,
				       kcase->name);
}

/* of tests/kunit/guest.h */
unsigned int guest_fail_step = 1;

int main(int argc, char **argv)
{
	struct totals totals = { 0 };
	const char *pattern;
	bool only_list = false;
	int i, n = 0, opt;

	while ((opt = getopt(argc, argv, "lq")) != -1) {
		switch (opt) {
		case 'l':
			only_list = true;
			break;
		case 'q':
			guest_fail_step = GUEST_FAIL_QUICK;
			break;
		default:
			fprintf(stderr, "usage: unit [-l] [-q] [PATTERN]\n");
			return 64;
		}
	}
	pattern = argv[optind];
	if (only_list) {
		list(pattern);
		return 0;
	}
	for (i = 0; i < nr_suites; i++)
		n += count_cases(pattern, suites[i]) > 0;
	printf("KTAP version 1\n1..%d\n", n);
	n = 0;
	for (i = 0; i < nr_suites; i++)
		if (count_cases(pattern, suites[i]) > 0)
			run_suite(suites[i], pattern, ++n, &totals);
	printf("# Totals: pass:%d fail:%d skip:%d total:%d\n", totals.passed,
	       totals.failed, totals.skipped,
	       totals.passed + totals.failed + totals.skipped);
	if (!n)
		fprintf(stderr, "unit: no test matches\n");
	return !n || totals.failed;
}
