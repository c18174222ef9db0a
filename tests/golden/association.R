# Values behind tests/test_association.py and tests/test_touchpoints.py.
# Run in this folder: Rscript association.R   (R 4.2, packages survey, polycor, jsonlite or none)
suppressMessages({library(survey); library(polycor)})
options(digits = 17, survey.lonely.psu = "adjust")

# 1. A survey with strata, clusters, weights and holes (written out, so that no generator is shared)
set.seed(11)
n <- 240
stratum <- rep(1:3, each = 80)
cluster <- rep(1:30, each = 8)
mood <- rnorm(30)[cluster]
latent <- rnorm(n) + mood
cut5 <- function(z) findInterval(z, c(-1.6, -0.7, 0.2, 1.1)) + 1
d <- data.frame(
  stratum, cluster, weight = round(runif(n, 0.5, 2), 3),
  overall = cut5(latent),
  shops = cut5(0.7 * latent + rnorm(n)),
  wifi = cut5(0.5 * latent + rnorm(n))
)
d$shops[sample(n, 60)] <- NA
d$wifi[sample(n, 90)] <- NA
write.csv(d, "association.csv", row.names = FALSE, na = "")

# Taylor variance of Pearson's r: a nonlinear contrast of the domain's moments
moments_of <- function(x) {
  design <- svydesign(~cluster, strata = ~stratum, weights = ~weight, data = d, nest = TRUE)
  design <- update(design, px = ifelse(is.na(d[[x]]), 0, d[[x]]), ok = as.numeric(!is.na(d[[x]])))
  totals <- svytotal(~ ok + I(ok * px) + I(ok * overall) + I(ok * px^2) + I(ok * overall^2)
                     + I(ok * px * overall), design)
  names(totals) <- c("n", "x", "y", "xx", "yy", "xy")
  totals
}
r_of <- function(x) {
  totals <- moments_of(x)
  r <- svycontrast(totals, quote((xy / n - x / n * y / n) /
    sqrt((xx / n - (x / n)^2) * (yy / n - (y / n)^2))))
  list(estimate = as.numeric(coef(r)), se = as.numeric(SE(r)))
}
# the difference of the two r, each in its own domain, from twelve totals together
design <- svydesign(~cluster, strata = ~stratum, weights = ~weight, data = d, nest = TRUE)
design <- update(design,
  a = ifelse(is.na(d$shops), 0, d$shops), ka = as.numeric(!is.na(d$shops)),
  b = ifelse(is.na(d$wifi), 0, d$wifi), kb = as.numeric(!is.na(d$wifi)))
both <- svytotal(~ ka + I(ka * a) + I(ka * overall) + I(ka * a^2) + I(ka * overall^2)
  + I(ka * a * overall) + kb + I(kb * b) + I(kb * overall) + I(kb * b^2)
  + I(kb * overall^2) + I(kb * b * overall), design)
names(both) <- c("n1", "x1", "y1", "xx1", "yy1", "xy1", "n2", "x2", "y2", "xx2", "yy2", "xy2")
difference <- svycontrast(both, quote(
  (xy1 / n1 - x1 / n1 * y1 / n1) / sqrt((xx1 / n1 - (x1 / n1)^2) * (yy1 / n1 - (y1 / n1)^2)) -
  (xy2 / n2 - x2 / n2 * y2 / n2) / sqrt((xx2 / n2 - (x2 / n2)^2) * (yy2 / n2 - (y2 / n2)^2))))

# users against the others, as one statistic
visit <- svyglm(overall ~ I(!is.na(shops)), design)

# 2. Rank correlations with ties
complete <- d[!is.na(d$shops), ]
rank <- list(
  spearman = cor(complete$shops, complete$overall, method = "spearman"),
  kendall = cor(complete$shops, complete$overall, method = "kendall"))

# 3. Polychoric: the package's default of the optimiser against a run to convergence
large <- table(
  findInterval(seq(-2.9, 2.9, length.out = 4000), seq(-2, 2, length.out = 10)),
  findInterval(0.6 * seq(-2.9, 2.9, length.out = 4000)
    + 0.8 * qnorm((seq_len(4000) * 0.6180339887) %% 1 * 0.998 + 0.001), seq(-2, 2, length.out = 10)))
quick <- polychor(large, ML = TRUE, std.err = TRUE)
long <- polychor(large, ML = TRUE, std.err = TRUE,
                 control = list(maxit = 20000, reltol = 1e-15))

# 4. Bland & Altman (1995): repeated pH and PaCO2 of eight patients
bland <- data.frame(
  subject = rep(1:8, c(4, 4, 9, 5, 8, 6, 3, 8)),
  ph = c(6.68, 6.53, 6.43, 6.33, 6.85, 7.06, 7.13, 7.17, 7.40, 7.42, 7.41, 7.37, 7.34, 7.35,
    7.28, 7.30, 7.34, 7.36, 7.33, 7.29, 7.30, 7.35, 7.35, 7.30, 7.30, 7.37, 7.27, 7.28, 7.32,
    7.32, 7.38, 7.30, 7.29, 7.33, 7.31, 7.33, 6.86, 6.94, 6.92, 7.19, 7.29, 7.21, 7.25, 7.20,
    7.19, 6.77, 6.82),
  paco2 = c(3.97, 4.12, 4.09, 3.97, 5.27, 5.37, 5.41, 5.44, 5.67, 3.64, 4.32, 4.73, 4.96, 5.04,
    5.22, 4.82, 5.07, 5.67, 5.10, 5.53, 4.75, 5.51, 4.28, 4.44, 4.32, 3.23, 4.46, 4.72, 4.75,
    4.99, 4.78, 4.73, 5.12, 4.93, 5.03, 4.93, 6.85, 6.44, 6.52, 5.28, 4.56, 4.34, 4.32, 4.41,
    3.69, 6.09, 5.58))
fit <- anova(lm(paco2 ~ factor(subject) + ph, bland))
slope <- coef(lm(paco2 ~ factor(subject) + ph, bland))["ph"]
within <- sign(slope) * sqrt(fit["ph", "Sum Sq"] /
  (fit["ph", "Sum Sq"] + fit["Residuals", "Sum Sq"]))
df <- fit["Residuals", "Df"]
means <- aggregate(cbind(ph, paco2) ~ subject, bland, mean)

# 5. Survival: time to reply
library(survival)
reply <- data.frame(time = c(2, 3, 3, 5, 8, 8, 9, 12, 12, 20), replied = c(1, 1, 0, 1, 1, 1, 0, 1, 1, 0))
curve <- survfit(Surv(time, replied) ~ 1, reply, conf.type = "log-log")
at5 <- summary(curve, times = 5)

number <- function(x) format(as.numeric(x), digits = 17)
lines <- c(
  "{",
  ' "source": "R 4.2 with survey, polycor and survival; association.R beside this file",',
  sprintf(' "pearson_design": {"shops": [%s, %s], "wifi": [%s, %s]},',
    number(r_of("shops")$estimate), number(r_of("shops")$se),
    number(r_of("wifi")$estimate), number(r_of("wifi")$se)),
  sprintf(' "difference_design": [%s, %s],', number(coef(difference)), number(SE(difference))),
  sprintf(' "visitors_design": [%s, %s],', number(coef(visit)[2]), number(SE(visit)[2])),
  sprintf(' "spearman": %s,\n "kendall": %s,', number(rank$spearman), number(rank$kendall)),
  sprintf(' "polychoric_table": [%s],', paste(apply(large, 1, function(row)
    sprintf("[%s]", paste(row, collapse = ", "))), collapse = ", ")),
  sprintf(' "polychoric_default": %s,\n "polychoric_long": %s,\n "polychoric_two_step": %s,',
    number(quick$rho), number(long$rho), number(polychor(large))),
  sprintf(' "bland_altman": {"subject": [%s], "ph": [%s], "paco2": [%s], "r": %s, "df": %s, "p": %s, "between": %s},',
    paste(bland$subject, collapse = ", "), paste(bland$ph, collapse = ", "),
    paste(bland$paco2, collapse = ", "), number(within), number(df), number(fit["ph", "Pr(>F)"]),
    number(cor(means$ph, means$paco2))),
  sprintf(' "reply": {"time": [%s], "replied": [%s], "median": %s, "within_5": %s, "low": %s, "high": %s}',
    paste(reply$time, collapse = ", "), paste(reply$replied, collapse = ", "),
    number(quantile(curve, 0.5)$quantile), number(1 - at5$surv), number(1 - at5$upper),
    number(1 - at5$lower)),
  "}")
writeLines(lines, "association.json")
