/* The rows of the detectors; only registry.c and tests name them. */
#pragma once

#include "collector/detect/detect.h"

extern const struct detector reverse_shell_detector;
extern const struct detector lateral_scan_detector;
extern const struct detector credential_theft_detector;
