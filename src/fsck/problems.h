/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The problems that fsck knows: one table, from which the code, fsck.pmfs2 --list-problems and doc/fsck.md come. The code is the
 * name and never changes its meaning; a damage recipe in tests/fsck makes each of them.
 *
 * P(code, safe, what is wrong, what the repair does). safe 1: repaired without being asked (preen): nothing is lost by it that
 * was not lost before.
 */
#ifndef FSCK_PROBLEMS_H
#define FSCK_PROBLEMS_H

#define FSCK_PROBLEMS(P)                                                                                                         \
	/* superblock, state block, journal */                                                                                   \
	P(SUPER_PRIMARY, 0, "superblock in block 0 is damaged, its copy is good", "restored from the copy")                      \
	P(SUPER_COPY, 1, "copy of the superblock is damaged or differs", "written anew from block 0")                            \
	P(SUPER_BOTH, 0, "both superblocks are damaged", "one wrong bit is turned back; otherwise nothing can be done")          \
	P(SUPER_RESERVED, 1, "reserved fields of the superblock are not zero, or the label has no end", "zeroed")                \
	P(STATE_RESERVED, 1, "reserved fields of the state block are not zero", "zeroed")                                        \
	P(HORIZON_BIT, 1, "the newest horizon slot has one wrong bit", "written anew")                                           \
	P(HORIZON_NONE, 0, "no valid horizon slot", "the journal is given up, a new horizon is written")                         \
	P(HORIZON_RESERVED, 1, "fields of the horizon hold what they may not", "written anew")                                   \
	P(HORIZON_LOST, 0, "a horizon slot is damaged, and records are missing that the other one needs",                        \
	  "those behind the gap are replayed")                                                                                   \
	P(JOURNAL_RECORD, 0, "a journal record stores where no record may, or has the number of another one",                    \
	  "it and later ones are not replayed")                                                                                  \
	P(JOURNAL_LOST, 0, "a journal record is damaged, and whole ones follow in its ring",                                     \
	  "one wrong bit is turned back; otherwise it alone is not replayed")                                                    \
	P(DAMAGE_MARK, 1, "a mount has found damage", "the mark is taken away once everything was checked")                      \
	/* inode table */                                                                                                        \
	P(ITABLE_ROOT, 0, "the root of the inode table is damaged", "one wrong bit is turned back, or the table is built anew")  \
	P(ITABLE_ENTRY, 0, "an entry of the inode table's tree is damaged or missing",                                           \
	  "one wrong bit is turned back, the chunk is found by its header, or an empty one takes its place")                     \
	P(ITABLE_COUNT, 1, "the number of inode chunks is wrong", "set")                                                         \
	P(CHUNK_HEADER, 1, "the header of an inode chunk is damaged", "written anew")                                            \
	P(CHUNK_RESERVED, 1, "reserved fields of an inode chunk are not zero, or its first bit is clear", "put right")           \
	/* inodes */                                                                                                             \
	P(INODE_BIT, 1, "an inode has one wrong bit", "turned back")                                                             \
	P(INODE_CHECKSUM, 0, "an inode is damaged", "kept if its fields make sense, cleared otherwise")                          \
	P(INODE_MODE, 0, "an inode is of no known type", "cleared")                                                              \
	P(INODE_UNMARKED, 1, "an inode is in use, but not marked so", "marked")                                                  \
	P(INODE_MARKED, 1, "an inode is marked as used, but empty", "the mark is taken away")                                    \
	P(INODE_FREE, 1, "a free inode is not empty", "emptied")                                                                 \
	P(INODE_FLAGS, 1, "an inode has unknown flags", "cleared")                                                               \
	P(INODE_RESERVED, 1, "fields of an inode that its type does not use are not zero", "zeroed")                             \
	P(INODE_SIZE, 0, "an inode has an impossible size", "set to what its contents say")                                      \
	P(INODE_BLOCKS, 1, "the number of blocks of an inode is wrong", "set")                                                   \
	P(INODE_INTENT, 1, "an inode names an intent that is not its own", "cleared")                                            \
	P(INODE_SHIFT, 0, "an unfinished collapse or insert does not fit the blocks of its file", "left as it is")               \
	P(SYMLINK_TARGET, 0, "a symlink has no whole target", "cleared")                                                         \
	P(ROOT_MISSING, 0, "there is no root directory", "an empty one is made")                                                 \
	/* trees of files */                                                                                                     \
	P(MAP_ROOT, 0, "the root of a file's tree is damaged", "one wrong bit is turned back; otherwise the file is emptied")    \
	P(MAP_ENTRY, 0, "an entry of a file's tree is damaged", "one wrong bit is turned back; otherwise it becomes a hole")     \
	P(MAP_NODE, 0, "a node of a file's tree holds nothing but damage", "its range becomes a hole")                           \
	P(MAP_BEHIND, 1, "written data behind the end of a file is not zero", "marked as unwritten")                             \
	P(BLOCK_SHARED, 0, "a data block belongs to two files or places", "the later one gets a copy")                           \
	P(BLOCK_OVERLAP, 0, "a block is claimed twice, as metadata at least once",                                               \
	  "data gives way to metadata, the later of two claims to the first")                                                    \
	/* extended attributes */                                                                                                \
	P(XATTR_POINTER, 0, "the xattr pointer of an inode is damaged",                                                          \
	  "one wrong bit is turned back; otherwise the xattrs are dropped")                                                      \
	P(XATTR_BLOCK, 0, "an xattr block is damaged", "one wrong bit is turned back; otherwise the xattrs are dropped")         \
	P(XATTR_TWICE, 0, "an inode has xattrs in itself and in a block", "those in itself are dropped")                         \
	P(XATTR_RECORD, 0, "an xattr record is malformed", "it is dropped, and those behind it")                                 \
	P(XATTR_DUPLICATE, 0, "an xattr name is there twice", "the later one is dropped")                                        \
	P(XATTR_ACL, 0, "an ACL is malformed", "dropped")                                                                        \
	/* directories */                                                                                                        \
	P(DIR_POINTER, 0, "a pointer in a directory's tree is damaged",                                                          \
	  "one wrong bit is turned back, or its neighbours are followed; otherwise it becomes a hole")                           \
	P(DIR_NODE, 0, "a node of a directory's tree is empty or holds nothing but damage", "its range becomes a hole")          \
	P(DIR_RUN, 1, "not all pointers of a bucket's range lead to it", "set")                                                  \
	P(DIR_BUCKET_HEADER, 0, "the header of a directory bucket is damaged",                                                   \
	  "written anew by the place of the bucket; dropped if that is another one's")                                           \
	P(DIR_BUCKET, 0, "counts or slots of a directory bucket are wrong", "built anew from the entries that are whole")        \
	P(DIR_BUCKET_EMPTY, 1, "a directory bucket has no entries", "its pointers become holes")                                 \
	P(DIR_ENTRY, 0, "a directory entry is damaged", "one wrong bit is turned back; otherwise it is dropped")                 \
	P(DIR_NAME, 0, "a directory entry has an impossible name", "dropped")                                                    \
	P(DIR_HASH, 0, "a directory entry stands where its name is not looked for", "dropped")                                   \
	P(DIR_DUPLICATE, 0, "a name is in a directory twice", "the later one is dropped")                                        \
	P(DIR_INODE, 1, "a directory entry names an inode that is not in use", "dropped")                                        \
	P(DIR_TYPE, 1, "a directory entry has another type than its inode", "set")                                               \
	P(DIR_PARENT, 1, "a directory has a wrong parent", "set")                                                                \
	P(DIR_SECOND_NAME, 0, "a directory has a second name", "the name that is not in its parent is dropped")                  \
	P(DIR_COUNT, 1, "the number of entries of a directory is wrong", "set")                                                  \
	P(DIR_LOOP, 0, "directories contain each other", "one name of the loop is dropped")                                      \
	/* links */                                                                                                              \
	P(LINK_COUNT, 1, "a link count is wrong", "set")                                                                         \
	P(UNCONNECTED, 0, "an inode has no name", "linked into /lost+found as #NUMBER")                                          \
	/* intents */                                                                                                            \
	P(INTENT_BLOCK, 0, "an intent block is damaged", "written anew; the chain is cut in front of a later one")               \
	P(INTENT_CHAIN, 0, "the chain of intent blocks is damaged", "cut")                                                       \
	P(INTENT_RESERVED, 1, "reserved fields of an intent block are not zero", "zeroed")                                       \
	P(INTENT_SLOT, 0, "an intent makes no sense", "cleared")                                                                 \
	/* space */                                                                                                              \
	P(BITMAP_UNMARKED, 1, "blocks are in use, but marked as free", "marked as used")                                         \
	P(BITMAP_LEAKED, 1, "blocks are marked as used, but nothing uses them", "marked as free")                                \
	P(COUNT_BLOCKS, 1, "the number of free blocks is wrong", "set")                                                          \
	P(COUNT_INODES, 1, "the number of used inodes is wrong", "set")                                                          \
	/* the device itself */                                                                                                  \
	P(MEDIA_ERROR, 0, "a page of the device cannot be read", "none: the device must be repaired or replaced")

enum fsck_code {
#define FSCK_PROBLEM_CODE(code, safe, what, repair) FSCK_##code,
	FSCK_PROBLEMS(FSCK_PROBLEM_CODE)
#undef FSCK_PROBLEM_CODE
		FSCK_N_CODES
};

struct fsck_problem {
	const char *name; /* the code as text: "SUPER_PRIMARY" */
	const char *what;
	const char *repair;
	int safe;
};

const struct fsck_problem *fsck_problem(enum fsck_code code);

#endif
