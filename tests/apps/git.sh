#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# git.sh DIR: a real tree into a repository, history, clones, garbage collection, fsck; the checked-out files are what went in.
# shellcheck source=tests/apps/common.sh
. "$(dirname "$0")/common.sh"

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

commit_tree()
{
	tap_need git
	real_tree "$SIDE/tree"
	find "$SIDE/tree" -type d -empty -delete # git keeps none
	cp -a "$SIDE/tree" "$DIR/a"
	cd "$DIR/a" || exit
	git init -q -b main .
	git add -f .
	git commit -q -m "first"
	git status --porcelain | (! grep .)
}

history()
{
	local i

	cd "$DIR/a" || exit
	for i in 1 2 3 4 5 6 7 8; do
		git checkout -q -b "topic-$i" main
		find . -path ./.git -prune -o -type f -name "*[$i].h" -print | head -40 | while read -r f; do echo "/* $i */" >>"$f"; done
		echo "$i" >"new-$i"
		git mv -k linux "linux-$i"
		git add -A
		git commit -q -m "topic $i"
	done
	git checkout -q main
	git merge -q -m "merge" topic-1
	git rebase -q main topic-2 || git rebase --abort
	git checkout -q main
	git stash list | (! grep .)
}

clone_and_compare()
{
	git clone -q --no-local "$DIR/a" "$DIR/b"
	git clone -q --local "$DIR/a" "$DIR/c"
	diff -r --no-dereference -x .git "$DIR/a" "$DIR/b"
	diff -r --no-dereference -x .git "$DIR/a" "$DIR/c"
	git -C "$DIR/b" checkout -q "$(git -C "$DIR/a" rev-list --max-parents=0 HEAD)"
	diff -r --no-dereference -x .git "$SIDE/tree" "$DIR/b"
}

gc_and_fsck()
{
	git -C "$DIR/a" gc -q --aggressive --prune=now
	git -C "$DIR/a" fsck --full --strict
	git -C "$DIR/b" repack -q -a -d -f
	git -C "$DIR/b" fsck --full
}

worktree_remove()
{
	git -C "$DIR/a" worktree add -q "$DIR/w" topic-3
	git -C "$DIR/a" worktree remove --force "$DIR/w"
	rm -rf "$DIR/b" "$DIR/c"
	[ ! -e "$DIR/b" ]
}

tap_case "git commits a real tree" 60 commit_tree
tap_case "git makes branches, renames, merges" 60 history
tap_case "git clones give identical trees" 60 clone_and_compare
tap_case "git gc and fsck find nothing wrong" 60 gc_and_fsck
tap_case "git worktree comes and goes" 30 worktree_remove
tap_done
