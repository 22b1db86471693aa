/* SPDX-License-Identifier: BSD-3-Clause */
/* Text of the tools: sizes with units, labels, uuids, and strings from media that must not reach a terminal as they are. */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_SIZE_LEN 48
#define TEXT_UUID_LEN 37

/* "4096", "64K", "1G", "2T": powers of 1024, K M G T P E, with or without "iB" or "B" behind it. -EINVAL, -ERANGE. */
int text_parse_size(const char *text, uint64_t *out_bytes);
/* Decimal number, at most max. -EINVAL, -ERANGE. */
int text_parse_u64(const char *text, uint64_t max, uint64_t *out);
/* "1.5 GiB"; exact byte counts stay what they are: "4096 bytes". Returns buf. */
const char *text_size(uint64_t bytes, char buf[TEXT_SIZE_LEN]);
const char *text_uuid(const uint8_t uuid[16], char buf[TEXT_UUID_LEN]);

/* NULL if a label can be stored, otherwise what is wrong with it: UTF-8 of at most 63 bytes without control characters. */
const char *text_label_check(const char *label);

/* UTF-8 as it is; control characters, backslashes and bytes that are no UTF-8 as \xNN. */
void text_print(FILE *f, const char *str, size_t len);
/* The same as a JSON string, with its quotes; bytes that are no UTF-8 become U+FFFD. */
void text_print_json(FILE *f, const char *str, size_t len);

#endif
