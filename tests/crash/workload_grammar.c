/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of operations, the printing of one, the help text. */
#include "crash/workload_grammar.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const falloc_modes[] = { "alloc", "keep", "punch", "zero", "zerokeep", "collapse", "insert", NULL };
static const char *const node_types[] = { "fifo", "chr", "blk", "sock", NULL };
static const char *const acl_kinds[] = { "access", "default", NULL };
/* By value: bits noreplace 1, exchange 2, whiteout 4. */
static const char *const rename_flags[] = { "plain",	"noreplace",	      "exchange", "noreplace+exchange",
					    "whiteout", "noreplace+whiteout", NULL };

#define TARGET                                                                                                                   \
	{                                                                                                                        \
		.kind = ARG_TARGET, .what = "a target"                                                                           \
	}
#define PATH                                                                                                                     \
	{                                                                                                                        \
		.kind = ARG_PATH, .what = "a path"                                                                               \
	}
#define FD                                                                                                                       \
	{                                                                                                                        \
		.kind = ARG_FD, .what = "a descriptor"                                                                           \
	}
#define TO                                                                                                                       \
	{                                                                                                                        \
		.kind = ARG_TO, .what = "a second path"                                                                          \
	}
#define NAME                                                                                                                     \
	{                                                                                                                        \
		.kind = ARG_NAME, .what = "a name"                                                                               \
	}
#define NUMBER(n, text)                                                                                                          \
	{                                                                                                                        \
		.kind = ARG_NUMBER, .what = text, .slot = n                                                                      \
	}
#define MODE(n, value)                                                                                                           \
	{                                                                                                                        \
		.kind = ARG_OCTAL, .what = "a mode", .slot = n, .optional = 1, .preset = value                                   \
	}
#define SYMBOL(n, table)                                                                                                         \
	{                                                                                                                        \
		.kind = ARG_SYMBOL, .what = "a keyword", .slot = n, .symbols = table                                             \
	}

const struct grammar_op grammar_ops[] = {
	[OP_CREAT] = { "creat", "PATH [MODE]", 0, { PATH, MODE(0, 0644) } },
	[OP_MKDIR] = { "mkdir", "PATH [MODE]", 0, { PATH, MODE(0, 0755) } },
	[OP_MKNOD] = { "mknod",
		       "PATH fifo|chr|blk|sock [RDEV]",
		       0,
		       { PATH, SYMBOL(0, node_types), { .kind = ARG_NUMBER, .what = "a device", .slot = 1, .optional = 1 } } },
	[OP_SYMLINK] = { "symlink", "PATH BYTES (of the target)", 0, { PATH, NUMBER(0, "a length") } },
	[OP_TMPFILE] = { "tmpfile", "$N PATH (of a directory) [MODE]", 0, { FD, TO, MODE(0, 0600) } },
	[OP_OPEN] = { "open", "$N PATH", 0, { FD, TO } },
	[OP_CLOSE] = { "close", "$N", 0, { FD } },
	[OP_LINK] = { "link", "TARGET PATH", 0, { TARGET, TO } },
	[OP_UNLINK] = { "unlink", "PATH", 0, { PATH } },
	[OP_RMDIR] = { "rmdir", "PATH", 0, { PATH } },
	[OP_REMOVE] = { "remove", "PATH (unlink or rmdir)", 0, { PATH } },
	[OP_RENAME] = { "rename",
			"PATH PATH [noreplace|exchange|whiteout|noreplace+whiteout]",
			0,
			{ PATH, TO, { .kind = ARG_SYMBOL, .what = "flags", .optional = 1, .symbols = rename_flags } } },
	[OP_WRITE] = { "write", "TARGET OFFSET|end BYTES", 0, { TARGET, NUMBER(0, "an offset"), NUMBER(1, "a length") } },
	[OP_DWRITE] = { "dwrite",
			"TARGET OFFSET|end BYTES (whole blocks)",
			0,
			{ TARGET, NUMBER(0, "an offset"), NUMBER(1, "a length") } },
	[OP_CUTWRITE] = { "cutwrite",
			  "TARGET OFFSET BYTES DONE (all are stored, so many count)",
			  0,
			  { TARGET, NUMBER(0, "a first byte"), NUMBER(1, "a length"), NUMBER(2, "bytes that are done") } },
	[OP_READ] = { "read", "TARGET OFFSET BYTES", 0, { TARGET, NUMBER(0, "an offset"), NUMBER(1, "a length") } },
	[OP_TRUNCATE] = { "truncate", "TARGET BYTES", 0, { TARGET, NUMBER(0, "a size") } },
	[OP_FALLOC] = { "falloc",
			"TARGET alloc|keep|punch|zero|zerokeep|collapse|insert OFFSET BYTES",
			0,
			{ TARGET, SYMBOL(0, falloc_modes), NUMBER(1, "an offset"), NUMBER(2, "a length") } },
	[OP_FSYNC] = { "fsync", "TARGET", 0, { TARGET } },
	[OP_SYNC] = { "sync", "", 0, { { ARG_NONE } } },
	[OP_CHMOD] = { "chmod", "TARGET MODE", 0, { TARGET, { .kind = ARG_OCTAL, .what = "a mode" } } },
	[OP_CHMODACL] = { "chmodacl",
			  "TARGET MODE ENTRIES (with the ACL in one step)",
			  0,
			  { TARGET, { .kind = ARG_OCTAL, .what = "a mode" }, NUMBER(1, "a number of entries") } },
	[OP_CHOWN] = { "chown", "TARGET UID GID", 0, { TARGET, NUMBER(0, "a uid"), NUMBER(1, "a gid") } },
	[OP_UTIMES] = { "utimes", "TARGET SECONDS", 0, { TARGET, NUMBER(0, "seconds") } },
	[OP_CHATTR] = { "chattr", "TARGET FLAGS", 0, { TARGET, { .kind = ARG_HEX, .what = "flags" } } },
	[OP_PROJID] = { "projid", "TARGET NUMBER", 0, { TARGET, NUMBER(0, "a number") } },
	[OP_SETXATTR] = { "fsetxattr", "TARGET NAME BYTES", 0, { TARGET, NAME, NUMBER(0, "a size") } },
	[OP_REMOVEXATTR] = { "removexattr", "TARGET NAME", 0, { TARGET, NAME } },
	[OP_SETACL] = { "setacl",
			"TARGET access|default ENTRIES (0: remove)",
			0,
			{ TARGET, SYMBOL(0, acl_kinds), NUMBER(1, "a number of entries") } },
	[OP_FILL] = { "fill", "PATH BLOCKS (left free; preparation only)", 0, { PATH, NUMBER(0, "blocks") } },
	[OP_POISON] = { "poison",
			"TARGET OFFSET (of a hole: the block that a write would take; bad until the crash; preparation only)",
			0,
			{ TARGET, NUMBER(0, "a byte") } },
	[OP_CREATN] = { "creatn", "PATH TIMES (PATH0, PATH1, ...)", 1, { PATH, NUMBER(0, "a number") } },
	[OP_MKDIRN] = { "mkdirn", "PATH TIMES", 1, { PATH, NUMBER(0, "a number") } },
	[OP_UNLINKN] = { "unlinkn", "PATH TIMES", 1, { PATH, NUMBER(0, "a number") } },
	[OP_WRITEN] = { "writen",
			"TARGET TIMES BYTES STRIDE",
			1,
			{ TARGET, NUMBER(0, "a number"), NUMBER(1, "a length"), NUMBER(2, "a stride") } },
	[OP_CHMODN] = { "chmodn", "TARGET TIMES (0600, 0601, ...)", 1, { TARGET, NUMBER(0, "a number") } },
	[OP_PUNCHN] = { "punchn",
			"TARGET TIMES BYTES STRIDE",
			1,
			{ TARGET, NUMBER(0, "a number"), NUMBER(1, "a length"), NUMBER(2, "a stride") } },
	[OP_KINDS] = { 0 },
};

static void number_print(FILE *f, uint64_t value)
{
	if (value == WORKLOAD_OFF_END)
		fprintf(f, " end");
	else if (value && value % (1u << 20) == 0)
		fprintf(f, " %lluM", (unsigned long long)(value >> 20));
	else if (value && value % 1024 == 0)
		fprintf(f, " %lluk", (unsigned long long)(value >> 10));
	else
		fprintf(f, " %llu", (unsigned long long)value);
}

static void argument_print(FILE *f, const struct grammar_arg *arg, const struct workload_op *op)
{
	uint64_t value = op->arg[arg->slot];

	if (arg->optional && value == arg->preset)
		return;
	switch (arg->kind) {
	case ARG_TARGET:
		if (op->target.fd < 0) {
			fprintf(f, " %s", op->target.path);
			break;
		}
		/* fall through */
	case ARG_FD:
		fprintf(f, " $%d", op->target.fd);
		break;
	case ARG_PATH:
		fprintf(f, " %s", op->target.path);
		break;
	case ARG_TO:
	case ARG_NAME:
		fprintf(f, " %s", op->to);
		break;
	case ARG_SYMBOL:
		fprintf(f, " %s", arg->symbols[value]);
		break;
	case ARG_OCTAL:
		fprintf(f, " 0%llo", (unsigned long long)value);
		break;
	case ARG_HEX:
		fprintf(f, " 0x%llx", (unsigned long long)value);
		break;
	default:
		number_print(f, value);
	}
}

char *grammar_op_print(const struct workload_op *op)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs(grammar_ops[op->kind].name, f);
	for (const struct grammar_arg *arg = grammar_ops[op->kind].args; arg->kind != ARG_NONE; arg++)
		argument_print(f, arg, op);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

void workload_help_print(FILE *f)
{
	for (const struct grammar_op *g = grammar_ops; g->name; g++)
		fprintf(f, "  %-12s %s\n", g->name, g->help);
}
