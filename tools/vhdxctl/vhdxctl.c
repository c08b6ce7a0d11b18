// SPDX-License-Identifier: GPL-2.0
/*
 * vhdxctl: attach VHDX images as block devices, look into them, check, make and
 * convert them.
 */
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"
#include "port.h"
#include "vhdxctl.h"

static const struct vhdxctl_command *const commands[] = {
	&vhdxctl_attach,
	&vhdxctl_check,
	&vhdxctl_compact,
	&vhdxctl_compare,
	&vhdxctl_convert,
	&vhdxctl_create,
	&vhdxctl_detach,
	&vhdxctl_doctor,
	&vhdxctl_dump,
	&vhdxctl_info,
	&vhdxctl_list,
	&vhdxctl_map,
	&vhdxctl_merge,
	&vhdxctl_mount,
	&vhdxctl_resize,
	&vhdxctl_set,
	&vhdxctl_status,
	&vhdxctl_umount,
};

/* The exit code where what the command prints gets lost. */
static int lost_code = EXIT_FAILURE;

static const struct vhdxctl_command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

/* Levenshtein's distance; the names are short. */
static size_t distance(const char *a, const char *b)
{
	size_t length = strlen(b);
	size_t row[16];

	if (length >= ARRAY_SIZE(row))
		return length;
	for (size_t i = 0; i <= length; i++)
		row[i] = i;
	for (size_t i = 1; *a; i++, a++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t least = diagonal + (*a != b[j - 1]);

			diagonal = row[j];
			least = min(least, row[j] + 1);
			row[j] = min(least, row[j - 1] + 1);
		}
	}
	return row[length];
}

static int unknown_command(const char *name)
{
	const char *nearest = NULL;
	size_t least = 3;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t d = distance(name, commands[i]->name);

		if (d < least) {
			least = d;
			nearest = commands[i]->name;
		}
	}
	message_fail(EX_USAGE, name, "unknown command");
	if (nearest)
		message_hint("did you mean '%s'?", nearest);
	else
		message_hint("'vhdxctl --help' lists the commands");
	return EX_USAGE;
}

static int show_help(void)
{
	puts("Usage: vhdxctl COMMAND [OPTION]... [ARGUMENT]...\n"
	     "Attach VHDX images as block devices, look into them, check, make and convert\n"
	     "them.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n"
	     "Options:\n"
	     "  -h, --help     show this help, or that of a command, and exit\n"
	     "  -V, --version  show the version and exit\n"
	     "\n"
	     "'vhdxctl COMMAND --help' shows more, 'vhdxctl help COMMAND' the manual page.");
	return EXIT_SUCCESS;
}

/* Whether man finds the page, without a word of it. */
static bool has_page(char *page)
{
	char *const argv[] = { "man", "-w", "8", page, NULL };
	posix_spawn_file_actions_t actions;
	bool found = false;
	int status;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions))
		return false;
	if (!posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO,
					      "/dev/null", O_WRONLY, 0) &&
	    !posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO,
					      STDERR_FILENO) &&
	    !posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ))
		found = waitpid(pid, &status, 0) == pid && !status;
	posix_spawn_file_actions_destroy(&actions);
	return found;
}

/* On a terminal the command's manual page. Comes back when there is none. */
static void show_page(const char *name)
{
	char *page;

	if (!isatty(STDOUT_FILENO))
		return;
	page = text_printf("vhdxctl-%s", name);
	if (has_page(page))
		execlp("man", "man", "8", page, NULL);
	free(page);
}

/**
 * vhdxctl_help - show the help of a command
 * @command: which
 *
 * Return: the exit code.
 */
int vhdxctl_help(const struct vhdxctl_command *command)
{
	printf("Usage: vhdxctl %s %s\n%s.\n\n%s", command->name,
	       command->synopsis, command->summary, command->help);
	puts("  -h, --help             show this help and exit");
	return EXIT_SUCCESS;
}

/**
 * vhdxctl_usage - the end of a usage error, whose message was printed before
 * @command: which command was used wrongly
 *
 * Return: the exit code.
 */
int vhdxctl_usage(const struct vhdxctl_command *command)
{
	message_hint("vhdxctl %s %s; 'vhdxctl %s --help' says more",
		     command->name, command->synopsis, command->name);
	return EX_USAGE;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ }
	};
	const struct vhdxctl_command *command;

	switch (getopt_long(argc, argv, "+hV", options, NULL)) {
	case 'h':
		return show_help();
	case 'V':
		puts("vhdxctl " VHDX_TOOL_VERSION);
		return EXIT_SUCCESS;
	case -1:
		break;
	default:
		message_hint("'vhdxctl --help' shows the usage");
		return EX_USAGE;
	}
	if (optind == argc) {
		message_fail(EX_USAGE, NULL, "no command given");
		message_hint("'vhdxctl --help' lists the commands");
		return EX_USAGE;
	}
	argc -= optind;
	argv += optind;
	/* getopt starts anew, for the command's own options. */
	optind = 0;

	if (!strcmp(argv[0], "help")) {
		if (argc == 1)
			return show_help();
		command = find_command(argv[1]);
		if (!command)
			return unknown_command(argv[1]);
		show_page(command->name);
		return vhdxctl_help(command);
	}
	command = find_command(argv[0]);
	if (!command)
		return unknown_command(argv[0]);
	if (command->trouble)
		lost_code = command->trouble;
	/* What getopt says begins with it. */
	argv[0] = (char *)"vhdxctl";
	return command->run(argc, argv);
}

/* What the program does by the name that it is called by. */
static int (*find_name(const char *path))(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} names[] = {
		{ "mount.vhdx", vhdxctl_mount_helper },
		{ "umount.vhdx", vhdxctl_umount_helper },
		{ "vhdx-generator", vhdxctl_generator },
	};
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, slash ? slash + 1 : path))
			return names[i].run;
	return run;
}

/*
 * A file that is opened must not get the number of one that messages are written to.
 * What the caller closed fails when it is used, as it would have.
 */
static void occupy_standard_files(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			_exit(EX_TEMPFAIL);
}

int main(int argc, char **argv)
{
	int (*run_as)(int argc, char **argv) = run;
	int code;

	occupy_standard_files();
	/* A write past the limit fails then, and that is said as other errors are. */
	signal(SIGXFSZ, SIG_IGN);
	setlocale(LC_ALL, "");
	if (argc > 0) {
		run_as = find_name(argv[0]);
		argv[0] = (char *)"vhdxctl";
	}
	code = run_as(argc, argv);
	return message_close_stdout(code, lost_code);
}
