/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The attached disks: names, and what sysfs says of them.
 */
#ifndef VHDXCTL_DEVICE_H
#define VHDXCTL_DEVICE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "port.h"

/* Enough for "vhdx" and any number. */
#define DEVICE_NAME_LENGTH	16

/**
 * struct device_list - disks, by number
 * @count: how many
 * @index: N of each vhdxN
 */
struct device_list {
	size_t count;
	unsigned int *index;
};

bool device_parse(const char *text, unsigned int *index);
void device_name(char name[DEVICE_NAME_LENGTH], unsigned int index);
char *device_path(unsigned int index);
char *device_attr(unsigned int index, const char *attr);
bool device_attr_u64(unsigned int index, const char *attr, u64 *value);
bool device_attr_dev(unsigned int index, const char *attr, dev_t *dev);
bool device_is_attached(unsigned int index);
bool device_of_node(dev_t dev, unsigned int *index, bool *partition);
void device_list_add(struct device_list *list, unsigned int index);
void device_list_attached(struct device_list *list);
void device_list_of_image(struct device_list *list, const struct stat *st);
void device_list_of_parent(struct device_list *list, const struct stat *st);
void device_list_free(struct device_list *list);
bool device_is_meant(const char *arg);
int device_find(const char *arg, struct device_list *list);
int device_find_one(const char *arg, struct device_list *list);

#endif
