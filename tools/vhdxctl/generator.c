// SPDX-License-Identifier: GPL-2.0
/*
 * vhdx-generator: makes a systemd unit of each line of /etc/vhdxtab, as
 * systemd.generator(7) describes it.
 *
 * A unit stops while file systems of its disk are being unmounted: it is not known
 * to systemd which ones are. So the detach waits for them, and what the image lies
 * on is unmounted after that, by RequiresMountsFor.
 *
 * What it detaches is the disk that it has attached, which a file in /run tells: the
 * same image may have others, and the same name may be another's by then.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/vhdx.h>

#include "device.h"
#include "message.h"
#include "tab.h"
#include "text.h"
#include "unit_path.h"
#include "vhdxctl.h"

#define TABLE		"/etc/vhdxtab"
#define DETACH_WAIT	"80"
/* What is left to be written by then has to be, before the disk is gone. */
#define UNIT_WAIT	"5min"

/* A word as a unit has it: those of @special would be expanded when single. */
static void put_quoted(FILE *unit, const char *word, const char *special)
{
	putc('"', unit);
	for (; *word; word++) {
		if (strchr("\"\\", *word))
			putc('\\', unit);
		else if (strchr(special, *word))
			putc(*word, unit);
		putc(*word, unit);
	}
	putc('"', unit);
}

static void put_argument(FILE *unit, const char *word)
{
	putc(' ', unit);
	put_quoted(unit, word, "%$");
}

static void put_path(FILE *unit, const char *path)
{
	putc(' ', unit);
	put_quoted(unit, path, "%");
}

static void put_option(FILE *unit, const char *name, const char *value)
{
	char *word = text_printf("--%s=%s", name, value);

	put_argument(unit, word);
	free(word);
}

static void put_commands(FILE *unit, const char *program,
			 const struct tab_entry *entry)
{
	static const struct {
		u32 flag;
		const char *option;
	} flags[] = {
		{ VHDX_ATTACH_READ_ONLY, "--read-only" },
		{ VHDX_ATTACH_AUTOCLEAR, "--autoclear" },
		{ VHDX_ATTACH_DIRECT_IO, "--direct-io=on" },
		{ VHDX_ATTACH_BUFFERED_IO, "--direct-io=off" },
		{ VHDX_ATTACH_NO_DISCARD, "--discard=ignore" },
		{ VHDX_ATTACH_NO_PART_SCAN, "--no-partscan" },
		{ VHDX_ATTACH_NO_REPLAY, "--no-replay" },
		{ VHDX_ATTACH_IGNORE_ID_MISMATCH, "--ignore-id-mismatch" },
	};
	const struct attach_request *request = &entry->attach;
	const struct chain_options *chain = &request->chain;
	char *id_file = text_printf("/run/vhdx@%s.id", entry->name);

	fputs("ExecStart=", unit);
	put_quoted(unit, program, "%");
	fputs(" attach", unit);
	put_option(unit, "id-file", id_file);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (request->flags & flags[i].flag)
			fprintf(unit, " %s", flags[i].option);
	if (request->allow_parent_write)
		fputs(" --allow-parent-write", unit);
	for (size_t i = 0; i < chain->parents; i++)
		put_option(unit, "parent", chain->parent[i]);
	for (size_t i = 0; i < chain->folders; i++)
		put_option(unit, "parent-dir", chain->folder[i]);
	put_argument(unit, request->path);
	if (request->index >= 0)
		fprintf(unit, " vhdx%d", request->index);
	fputs("\nExecStop=", unit);
	put_quoted(unit, program, "%");
	fputs(" detach --wait-unmount " DETACH_WAIT, unit);
	put_option(unit, "id-file", id_file);
	putc('\n', unit);
	free(id_file);
}

/* Of a device the unit, of a file what it lies on. */
static void put_need(FILE *unit, const char *path)
{
	char *device;

	if (!unit_path_is_device(path)) {
		fputs("RequiresMountsFor=", unit);
		put_path(unit, path);
		putc('\n', unit);
		return;
	}
	device = unit_path_device(path);
	fprintf(unit, "Requires=%s\nAfter=%s\n", device, device);
	free(device);
}

/* By each of its names. */
static void put_needs(FILE *unit, const char *path)
{
	char *followed;

	put_need(unit, path);
	/* The links to a device are made when it is there. */
	followed = unit_path_is_device(path) ? NULL : unit_path_follow(path);
	if (followed)
		put_need(unit, followed);
	free(followed);
}

static void put_unit(FILE *unit, const char *program,
		     const struct tab_entry *entry)
{
	const struct chain_options *chain = &entry->attach.chain;

	fprintf(unit,
		"# Made by vhdx-generator.\n"
		"[Unit]\n"
		"Description=VHDX image %s\n"
		"Documentation=man:vhdxtab(5)\n"
		"SourcePath=" TABLE "\n"
		"DefaultDependencies=no\n"
		"IgnoreOnIsolate=yes\n"
		"Conflicts=umount.target\n"
		"Before=umount.target\n"
		"Wants=systemd-udevd.service\n"
		"After=systemd-remount-fs.service systemd-udevd.service\n",
		entry->name);
	if (entry->network)
		fputs("After=network-online.target remote-fs-pre.target\n"
		      "Wants=network-online.target\n", unit);
	if (!entry->no_fail && !entry->no_auto)
		fprintf(unit, "Before=%s\n", entry->network ?
			"remote-fs.target" : "local-fs.target");
	put_needs(unit, entry->attach.path);
	for (size_t i = 0; i < chain->parents; i++)
		put_needs(unit, chain->parent[i]);
	for (size_t i = 0; i < chain->folders; i++)
		put_needs(unit, chain->folder[i]);
	fputs("\n[Service]\n"
	      "Type=oneshot\n"
	      "RemainAfterExit=yes\n"
	      "TimeoutSec=" UNIT_WAIT "\n", unit);
	put_commands(unit, program, entry);
}

/* Where the unit is wanted when the system starts. */
static int link_unit(const char *dir, const char *name,
		     const struct tab_entry *entry)
{
	char *wants = text_printf("%s/%s-fs.target.%s", dir,
				  entry->network ? "remote" : "local",
				  entry->no_fail ? "wants" : "requires");
	char *target = text_printf("../%s", name);
	char *link = text_printf("%s/%s", wants, name);
	int code = 0;

	if ((mkdir(wants, 0755) && errno != EEXIST) || symlink(target, link))
		code = message_fail_errno(link, "cannot make", errno);
	free(link);
	free(target);
	free(wants);
	return code;
}

static int make_unit(const char *dir, const char *program,
		     const struct tab_entry *entry)
{
	char *name = text_printf("vhdx@%s.service", entry->name);
	char *path = text_printf("%s/%s", dir, name);
	FILE *unit = fopen(path, "wxe");
	int code = 0;

	if (!unit && errno == EEXIST) {
		code = message_fail(EX_USAGE, NULL,
				    "line %u: %s: the same name again",
				    entry->line, entry->name);
	} else if (!unit) {
		code = message_fail_errno(path, "cannot make", errno);
	} else {
		put_unit(unit, program, entry);
		if (fclose(unit))
			code = message_fail_errno(path, "cannot write", errno);
		else if (!entry->no_auto)
			code = link_unit(dir, name, entry);
	}
	free(path);
	free(name);
	return code;
}

/* Whose errors go nowhere, as those of a generator do, tells the kernel's log. */
static void find_listener(void)
{
	const dev_t null = makedev(1, 3);
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != null)
		return;
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	dup2(fd, STDERR_FILENO);
	close(fd);
	/* Each write is a line there. */
	setvbuf(stderr, NULL, _IOLBF, 0);
}

/**
 * vhdxctl_generator - be vhdx-generator
 * @argc: of main()
 * @argv: of main(): the folder for units, and two that are not used
 *
 * A bad line keeps no other from being taken. VHDXTAB names another table.
 *
 * Return: the exit code.
 */
int vhdxctl_generator(int argc, char **argv)
{
	const char *path = getenv("VHDXTAB") ?: TABLE;
	struct tab_entry entry;
	unsigned int line = 0;
	char *program;
	int worst = 0;
	FILE *file;
	int code;

	find_listener();
	if (argc != 4)
		return message_fail(EX_USAGE, NULL,
				    "vhdx-generator: for systemd, with three folders");
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 :
		       message_fail_errno(path, "cannot open", errno);
	program = text_memory(realpath("/proc/self/exe", NULL));
	while (tab_next(file, path, &entry, &line, &code)) {
		if (!code)
			code = make_unit(argv[1], program, &entry);
		worst = max(worst, code);
		tab_free(&entry);
	}
	worst = max(worst, code);
	free(program);
	fclose(file);
	return worst;
}
