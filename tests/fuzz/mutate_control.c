/* SPDX-License-Identifier: BSD-3-Clause */
/* Seeds and mutator of fuzz_control: messages of known types with known fields, and options by name. */
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "target.h"
#include "zusd/control_msg.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));

static uint32_t next(uint32_t *rng)
{
	*rng = *rng * 1664525u + 1013904223u;
	return *rng >> 8;
}

static const char *const strings[] = { "test", "/", "/dev/null", "/tmp", "pmfs2", "", "a=b,c", "relative", "/\n\\040,", "1" };

static const char *const options[] = {
	"rw",
	"ro",
	"noatime",
	"relatime",
	"strictatime",
	"nodiratime",
	"cache=auto",
	"cache=none",
	"cache=",
	"channel=uring",
	"channel=dev",
	"max_write=4096",
	"max_write=1M",
	"max_write=99999999999999999999",
	"fstype=memfs",
	"allow_other",
	"remount",
	"x-systemd.automount",
	"comment=",
	"uid=1",
	"size=1G",
	"defaults",
	"nosuid",
	"nodev",
	"default_permissions",
	",,",
	"=",
	"a=b",
};

static size_t field_put(uint8_t *out, uint32_t *rng)
{
	static const uint64_t numbers[] = { 0, 1, 2, 3, 15, 16, 4096, 1 << 20, UINT32_MAX, UINT64_MAX };
	uint16_t head[2];

	if (next(rng) & 1) {
		const char *str = strings[next(rng) % ARRAY_SIZE(strings)];

		head[0] = (uint16_t)(next(rng) % 14 + 1);
		head[1] = (uint16_t)(strlen(str) + 1);
		memcpy(out + 4, str, head[1]);
	} else {
		uint64_t number = numbers[next(rng) % ARRAY_SIZE(numbers)];

		head[0] = (uint16_t)(CONTROL_TAG_NUMBER + next(rng) % 10 + 1);
		head[1] = sizeof(number);
		memcpy(out + 4, &number, sizeof(number));
	}
	memcpy(out, head, sizeof(head));
	return sizeof(head) + head[1];
}

static size_t string_field_put(uint8_t *out, uint16_t tag, const char *str)
{
	uint16_t head[2] = { tag, (uint16_t)(strlen(str) + 1) };

	memcpy(out, head, sizeof(head));
	memcpy(out + sizeof(head), str, head[1]);
	return sizeof(head) + head[1];
}

static size_t message_put(uint8_t *out, uint8_t type, uint32_t *rng)
{
	uint16_t len = 0;

	if (type == CONTROL_OPEN && next(rng) & 1) {
		len = (uint16_t)string_field_put(out + 3, CONTROL_TAG_FSTYPE, "test");
		len = (uint16_t)(len + string_field_put(out + 3 + len, CONTROL_TAG_DIR, "/mnt"));
	}
	for (uint32_t n = next(rng) % 5; n; n--)
		len = (uint16_t)(len + field_put(out + 3 + len, rng));
	out[0] = type;
	memcpy(out + 1, &len, sizeof(len));
	return 3u + len;
}

static size_t options_put(char *out, uint32_t *rng)
{
	size_t len = 0;

	for (uint32_t n = next(rng) % 6; n; n--)
		len += (size_t)sprintf(out + len, "%s,", options[next(rng) % ARRAY_SIZE(options)]);
	return len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	uint8_t fresh[1024];
	uint32_t rng = seed;
	size_t len;

	if (!size)
		data[size++] = (uint8_t)next(&rng);
	if (next(&rng) % 3 == 0)
		return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max_size) : size;
	if (data[0] % 4 < 2)
		len = message_put(fresh, (uint8_t)(next(&rng) % 12), &rng);
	else
		len = options_put((char *)fresh, &rng);
	if (size + len > max_size)
		return size;
	memcpy(data + size, fresh, len);
	return size + len;
}

size_t target_seed(uint32_t n, uint8_t *out, size_t cap)
{
	uint32_t rng = n * 977u + 3;
	size_t len = 1;

	if (n >= 128 || cap < 4096)
		return 0;
	out[0] = (uint8_t)(n % 4);
	if (out[0] == 0) {
		uint16_t version = CONTROL_VERSION, type = (uint16_t)(n / 4);
		uint32_t magic = CONTROL_MAGIC, total;

		memset(out + 1, 0, 16);
		len += 16 + field_put(out + 17, &rng);
		total = (uint32_t)len - 1;
		memcpy(out + 1, &magic, 4);
		memcpy(out + 5, &version, 2);
		memcpy(out + 7, &type, 2);
		memcpy(out + 9, &total, 4);
	} else if (out[0] == 1) {
		len += message_put(out + len, CONTROL_HELLO, &rng);
		for (uint32_t i = 0; i < 3; i++)
			len += message_put(out + len, (uint8_t)((n / 4 + i) % 10 + 1), &rng);
	} else {
		len += options_put((char *)out + len, &rng);
	}
	return len;
}
