/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The check command: what it knows of an image, and its two forms of output.
 */
#ifndef VHDXCTL_CHECKING_H
#define VHDXCTL_CHECKING_H

#include "chain.h"
#include "image/repair.h"

/* Exit codes, beside those of wrong usage; qemu-img's as far as it has them. */
enum checking_code {
	CHECKING_CLEAN		= 0,
	CHECKING_FAILED		= 1,
	CHECKING_CORRUPT	= 2,
	CHECKING_LEAKS		= 3,
	CHECKING_LOG		= 4,
	CHECKING_CHAIN		= 5,
};

/**
 * struct checking_finding - a finding
 * @name: what it is of
 * @kind: what it means
 * @err: where it is
 */
struct checking_finding {
	enum vhdx_finding_name name;
	enum vhdx_finding_kind kind;
	struct vhdx_error err;
};

/**
 * struct checking - an image that was checked
 * @path: of its file
 * @check: the counts
 * @finding: those that are told of
 * @findings: how many
 * @linked: @verdict means something: the chain was asked for
 * @verdict: on the link to its parent
 * @problem: why that is not right, or NULL; may hold untrusted strings
 * @repair: what was done before, or NULL where that was not asked for
 */
struct checking {
	const char *path;
	struct vhdx_check check;
	struct checking_finding *finding;
	size_t findings;
	bool linked;
	enum chain_verdict verdict;
	const char *problem;
	const struct vhdx_repair *repair;
};

extern const char *const checking_kinds[VHDX_KINDS];

enum checking_code checking_code(const struct checking *checking);
const char *checking_result(enum checking_code code);

int checking_run(struct checking *checking, struct vhdx_file *file,
		 const struct stat *st, struct vhdx_error *err);
void checking_free(struct checking *checking);
void checking_print_json(const struct checking *const *checking, size_t count,
			 enum checking_code code);
void checking_print_text(const struct checking *checking, bool with_path);

#endif
