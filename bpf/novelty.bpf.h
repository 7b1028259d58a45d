/* An act that comes again and again is reported once; the rest is counted, and the count follows as a
 * repeat. To be asked before any path is resolved:
 *
 *   struct nj_key *key = novelty_key(s, NJ_CLASS_FILE, NJ_KIND_OPEN);
 *   novelty_add_inode(key, inode);
 *   key->flags = flags;
 *   key->result = result < 0 ? result : 0;
 *   key->raw_hash = novelty_hash_user(call->arg[1]);
 *   if (novelty_repeat())
 *           return 0;
 *   … resolve the path …
 *   if (!wanted)
 *           return novelty_unwanted();
 *
 * The record then carries the window that was opened: act_emit puts it into the head, others do
 * head.window = s->window.
 *
 * What must never be counted instead of told is known here (novelty.bpf.c), not in the families: they
 * may ask for every act. Two acts are the same when their whole keys are. Each CPU has slots of its own, so
 * a process that moves between CPUs may be reported once on each.
 *
 * In process context only. */
#pragma once

#include "bpf/filter.bpf.h"

/* The zeroed key in the scratch, of an act of the current task. */
static __always_inline struct nj_key *novelty_key(struct scratch *s, __u32 class, __u16 kind)
{
	struct nj_key *key = &s->key;

	__builtin_memset(key, 0, sizeof(*key));
	task_identity(bpf_get_current_task_btf(), &key->task);
	key->class = (__u8)class;
	key->kind = kind;
	return key;
}

static __always_inline void novelty_add_inode(struct nj_key *key, const struct inode *inode)
{
	key->inode = kernel_read(inode, i_ino);
	key->device = kernel_read(inode, i_sb, s_dev);
	key->generation = kernel_read(inode, i_generation);
}

/* The other side of a socket, and the socket itself. */
static __always_inline void novelty_add_endpoint(struct nj_key *key, const struct nj_endpoint *ep)
{
	key->inode = ep->id;
	key->device = ep->id2;
	key->family = ep->family;
	key->remote_port = ep->remote_port;
	__builtin_memcpy(key->remote_ip, ep->remote_ip, sizeof(key->remote_ip));
}

/* Functions of their own to the verifier. */

/* Of the text of len bytes in scratch.raw. */
__u64 novelty_hash_raw(__u32 len);
/* Of a text of the current address space, which is in scratch.raw then; 0 when it cannot be read. */
__u64 novelty_hash_user(__u64 user_address);
/* Whether the act of scratch.key is one more of the same, and counted: nothing is left to do. Else
 * scratch.window is what the act's record has to carry, 0 when no window was opened. */
int novelty_repeat(void);
/* The act is not wanted after all: the same within the window is neither told nor counted. Returns 0. */
int novelty_unwanted(void);
