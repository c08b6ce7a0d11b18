/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhdxctl: what its commands and main() know of each other.
 */
#ifndef VHDXCTL_H
#define VHDXCTL_H

/**
 * struct vhdxctl_command - a command of the tool
 * @name: what the user types
 * @synopsis: its arguments, as they stand behind its name
 * @summary: one line of what it does
 * @help: its options and remarks, whole lines
 * @trouble: the exit code where its answer is not known, or gets lost; 0: 1
 * @run: does it; argv[0] is the program's name. Returns the exit code.
 */
struct vhdxctl_command {
	const char *name;
	const char *synopsis;
	const char *summary;
	const char *help;
	int trouble;
	int (*run)(int argc, char **argv);
};

extern const struct vhdxctl_command vhdxctl_attach;
extern const struct vhdxctl_command vhdxctl_check;
extern const struct vhdxctl_command vhdxctl_compact;
extern const struct vhdxctl_command vhdxctl_compare;
extern const struct vhdxctl_command vhdxctl_convert;
extern const struct vhdxctl_command vhdxctl_create;
extern const struct vhdxctl_command vhdxctl_detach;
extern const struct vhdxctl_command vhdxctl_doctor;
extern const struct vhdxctl_command vhdxctl_dump;
extern const struct vhdxctl_command vhdxctl_info;
extern const struct vhdxctl_command vhdxctl_list;
extern const struct vhdxctl_command vhdxctl_map;
extern const struct vhdxctl_command vhdxctl_merge;
extern const struct vhdxctl_command vhdxctl_mount;
extern const struct vhdxctl_command vhdxctl_resize;
extern const struct vhdxctl_command vhdxctl_set;
extern const struct vhdxctl_command vhdxctl_status;
extern const struct vhdxctl_command vhdxctl_umount;

/* Other names that the program has. */
int vhdxctl_mount_helper(int argc, char **argv);
int vhdxctl_generator(int argc, char **argv);
int vhdxctl_umount_helper(int argc, char **argv);

int vhdxctl_help(const struct vhdxctl_command *command);
int vhdxctl_usage(const struct vhdxctl_command *command);

#endif
