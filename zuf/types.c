// SPDX-License-Identifier: GPL-2.0-only
/*
 * The types of file systems that servers have registered: mount -t NAME works for each. They stay until the module goes, since
 * mounts outlive servers.
 */
#include <linux/ctype.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "zuf.h"

#define ZUF_TYPES_MAX 32
#define ZUF_WAIT_MAX_S 86400

/* Not allocated: a file_system_type has keys of lockdep's, which must be static. Under zuf_server_lock. */
static struct zuf_type zuf_types[ZUF_TYPES_MAX];
static unsigned int zuf_n_types;

enum {
	OPT_WAIT,
};

static const struct fs_parameter_spec zuf_params[] = { fsparam_u32("wait", OPT_WAIT), {} };

/* What is not ours is the plug-in's. */
static int context_add_option(struct zuf_context *ctx, const struct fs_parameter *param)
{
	char *old = ctx->options, *all;

	if (param->type != fs_value_is_flag && param->type != fs_value_is_string)
		return -EINVAL;
	all = kasprintf(GFP_KERNEL, "%s%s%s%s%s", old ? old : "", old ? "," : "", param->key,
			param->type == fs_value_is_string ? "=" : "", param->type == fs_value_is_string ? param->string : "");
	if (!all)
		return -ENOMEM;
	if (strlen(all) >= PAGE_SIZE) {
		kfree(all);
		return -E2BIG;
	}
	kfree(old);
	ctx->options = all;
	return 0;
}

static int context_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct zuf_context *ctx = fc->fs_private;
	struct fs_parse_result result;
	int opt;

	opt = vfs_parse_fs_param_source(fc, param);
	if (opt != -ENOPARAM)
		return opt;
	opt = fs_parse(fc, zuf_params, param, &result);
	if (opt == -ENOPARAM)
		return context_add_option(ctx, param);
	if (opt < 0)
		return opt;
	if (result.uint_32 > ZUF_WAIT_MAX_S)
		return invalf(fc, "wait: at most %u seconds", ZUF_WAIT_MAX_S);
	ctx->wait_s = result.uint_32;
	return 0;
}

static int context_get_tree(struct fs_context *fc)
{
	struct zuf_type *type = container_of(fc->fs_type, struct zuf_type, fst);

	if (!zuf_server_epoch()) {
		errorf(fc, "no server: start zusd");
		return -ENOTCONN;
	}
	return type->has_device ? get_tree_bdev(fc, zuf_fill_super) : get_tree_nodev(fc, zuf_fill_super);
}

static int context_reconfigure(struct fs_context *fc)
{
	return zuf_remount(fc->root->d_sb, fc);
}

static void context_free(struct fs_context *fc)
{
	struct zuf_context *ctx = fc->fs_private;

	if (ctx)
		kfree(ctx->options);
	kfree(ctx);
}

static const struct fs_context_operations zuf_context_ops = {
	.parse_param = context_parse_param,
	.get_tree = context_get_tree,
	.reconfigure = context_reconfigure,
	.free = context_free,
};

static int type_init_context(struct fs_context *fc)
{
	struct zuf_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return -ENOMEM;
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		ctx->wait_s = zuf_sb_of(fc->root->d_sb)->wait_s;
	fc->fs_private = ctx;
	fc->ops = &zuf_context_ops;
	return 0;
}

static void type_kill_sb(struct super_block *sb)
{
	struct zuf_type *type = container_of(sb->s_type, struct zuf_type, fst);

	if (type->has_device)
		zuf_kill_block_super(sb);
	else
		zuf_kill_anon_super(sb);
}

static bool type_name_ok(const char *name)
{
	if (!*name || !strcmp(name, "zuf"))
		return false;
	for (; *name; name++)
		if (!isalnum(*name) && *name != '_' && *name != '-')
			return false;
	return true;
}

static int type_new(const struct zuf_type_arg *arg)
{
	struct zuf_type *type = &zuf_types[zuf_n_types];
	int err;

	if (zuf_n_types == ZUF_TYPES_MAX)
		return -ENOSPC;
	strscpy_pad(type->name, arg->name, sizeof(type->name));
	type->has_device = arg->flags & ZUF_TYPE_DEVICE;
	type->fst.owner = THIS_MODULE;
	type->fst.name = type->name;
	type->fst.init_fs_context = type_init_context;
	type->fst.kill_sb = type_kill_sb;
	type->fst.fs_flags = type->has_device ? FS_REQUIRES_DEV : 0;
	err = register_filesystem(&type->fst);
	if (!err)
		zuf_n_types++;
	return err;
}

static struct zuf_type *type_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < zuf_n_types; i++)
		if (!strcmp(zuf_types[i].name, name))
			return &zuf_types[i];
	return NULL;
}

int zuf_type_add(const struct zuf_type_arg *arg)
{
	struct zuf_type *type;
	int err;

	if (!type_name_ok(arg->name))
		return -EINVAL;
	mutex_lock(&zuf_server_lock);
	type = type_find(arg->name);
	if (!type)
		err = type_new(arg);
	else
		/* Of an earlier server. */
		err = type->has_device == !!(arg->flags & ZUF_TYPE_DEVICE) ? 0 : -EEXIST;
	mutex_unlock(&zuf_server_lock);
	return err;
}

size_t zuf_types_show(char *buf)
{
	size_t len = 0;
	unsigned int i;

	mutex_lock(&zuf_server_lock);
	for (i = 0; i < zuf_n_types; i++)
		len += scnprintf(buf + len, PAGE_SIZE - len, "%s%s\n", zuf_types[i].name,
				 zuf_types[i].has_device ? " device" : "");
	mutex_unlock(&zuf_server_lock);
	return len;
}

void zuf_types_exit(void)
{
	while (zuf_n_types)
		unregister_filesystem(&zuf_types[--zuf_n_types].fst);
}
