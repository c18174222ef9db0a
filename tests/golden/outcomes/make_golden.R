# R 4, survival 3.5-3 (its data set lung), sandwich. Makes golden.csv and, by the first line, lung.csv.
options(digits = 12); suppressMessages({library(survival); library(sandwich)})
lung$d <- as.integer(lung$status == 2)
out <- function(name, x) cat(sprintf("%s,%.12g\n", name, x))
s <- summary(survfit(Surv(time, d) ~ sex, lung), times = c(180, 365))
for (i in seq_along(s$time)) {
  key <- paste0("lung.km.", s$strata[i], ".", s$time[i])
  out(paste0(key, ".surv"), s$surv[i]); out(paste0(key, ".se"), s$std.err[i]); out(paste0(key, ".nrisk"), s$n.risk[i])
}
all <- survfit(Surv(time, d) ~ 1, lung); s0 <- summary(all, times = 365)
out("lung.km.all.365.surv", s0$surv); out("lung.km.all.365.se", s0$std.err)
l3 <- lung[!is.na(lung$inst), ]; l3$w <- 0.5 + (seq_len(nrow(l3)) %% 4) / 2
s1 <- summary(survfit(Surv(time, d) ~ 1, l3, weights = w, cluster = inst), times = 365)
out("lungw.km.365.surv", s1$surv); out("lungw.km.365.se_cluster", s1$std.err)
s2 <- survfit(Surv(time, d) ~ 1, l3, weights = w, id = seq_len(nrow(l3)), robust = TRUE)
out("lungw.km.365.se_row", summary(s2, times = 365)$std.err)
p <- pseudo(all, times = 365)
out("lung.pseudo.365.mean", mean(p)); out("lung.pseudo.365.sd", sd(p)); out("lung.pseudo.365.first", p[1]); out("lung.pseudo.365.n2", p[2])
l <- lung[!is.na(lung$inst) & !is.na(lung$ph.ecog), ]
p <- pseudo(survfit(Surv(time, d) ~ 1, l), times = 365); m <- lm(p ~ sex + ph.ecog + age, l)
V <- vcovCL(m, cluster = l$inst, type = "HC1", cadjust = TRUE)
for (v in c("sex", "ph.ecog", "age")) { out(paste0("lung.pseudo_lm.", v), coef(m)[v]); out(paste0("lung.pseudo_lm.", v, ".se_cl"), sqrt(V[v, v])) }
s <- summary(survfit(Surv(time, d) ~ sex, l), times = 365)
out("lung.diff365", s$surv[2] - s$surv[1]); out("lung.diff365.se", sqrt(sum(s$std.err^2)))
# recalibration.csv: set.seed(1); lp <- rnorm(500, -2, 1); y <- rbinom(500, 1, plogis(.3 + .7 * lp)); p <- plogis(lp)
r <- read.csv("recalibration.csv"); lp <- qlogis(r$p); y <- r$y
f <- glm(y ~ lp, family = binomial); g <- glm(y ~ offset(lp), family = binomial)
out("recal.slope", coef(f)[2]); out("recal.slope.se", sqrt(vcov(f)[2, 2]))
out("recal.intercept_given_slope1", coef(g)); out("recal.intercept.se", sqrt(vcov(g)))
out("brier", mean((y - r$p)^2)); th <- .2; sel <- r$p >= th
out("net_benefit.20", mean(sel & y == 1) - mean(sel & y == 0) * th / (1 - th)); out("net_benefit.all.20", mean(y) - (1 - mean(y)) * th / (1 - th))
